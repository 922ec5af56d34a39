"""Why somebody can, or cannot, use a model: the rules of `usable_by`, told one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import F, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.errors import NotFound
from models_registry.models import ChatModel
from models_registry.services.endpoints import opens

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a person may use a model now. `code` never changes, `detail` is for people.

    Usable: `own`, `everyone`, `role`, `person`. Not: `suspended`, `personal` (another's),
    `no_access`, `hidden` (by a model of their own), `model_disabled`, `connection_disabled`,
    `key_unreadable`.
    """

    usable: bool
    code: str
    detail: str

    def as_dict(self) -> dict[str, Any]:
        return {"usable": self.usable, "code": self.code, "detail": self.detail}


def meant_by(name: str, user: User) -> ChatModel:
    """The model that `name` stands for when `user` says it, usable or not; raises NotFound."""
    theirs = ChatModel.objects.filter(Q(owner=None) | Q(owner=user), name=name)
    model = theirs.select_related("connection").order_by(F("owner").asc(nulls_last=True)).first()
    if model is None:
        raise NotFound(_("There is no model called %(name)s.") % {"name": name})
    return model


def explain(model: ChatModel, user: User) -> Verdict:
    return explain_all([model], user)[model.pk]


def explain_all(models: Iterable[ChatModel], user: User) -> dict[UUID, Verdict]:
    """A verdict on each, by id; as many queries for many as for one. `connection` is selected."""
    rows = list(models)
    rules = _Rules([row.pk for row in rows], user)
    connections = {row.connection_id: row.connection for row in rows}
    sound = {key: opens(connection, user) for key, connection in connections.items()}
    return {
        row.pk: _refusal(row, user, rules, sound=sound[row.connection_id]) or rules.grants(row)
        for row in rows
    }


class _Rules:
    """Who may use these models, and by which of the rules `user` is among them."""

    def __init__(self, ids: list[UUID], user: User) -> None:
        self.user = user
        self.held = set(user.groups.values_list("name", flat=True))
        self.roles: dict[UUID, set[str]] = defaultdict(set)
        by_role = ChatModel.roles.through.objects.filter(chatmodel__in=ids)
        for model_id, role in by_role.values_list("chatmodel_id", "group__name"):
            self.roles[model_id].add(role)
        by_name = ChatModel.users.through.objects.filter(chatmodel__in=ids, user=user)
        self.named = set(by_name.values_list("chatmodel_id", flat=True))
        self.own_names = set(ChatModel.objects.filter(owner=user).values_list("name", flat=True))

    def let_in(self, model: ChatModel) -> bool:
        return model.everyone or bool(self.shared(model)) or model.pk in self.named

    def shared(self, model: ChatModel) -> list[str]:
        """Roles of the person that open the model."""
        return sorted(self.roles[model.pk] & self.held)

    def grants(self, model: ChatModel) -> Verdict:
        if model.owner_id is not None:
            return Verdict(True, "own", _("It is this person's own model."))
        if model.everyone:
            return Verdict(True, "everyone", _("The model is open to everyone."))
        if shared := self.shared(model):
            text = ngettext(
                "The model is open to a role of this person: %(roles)s.",
                "The model is open to roles of this person: %(roles)s.",
                len(shared),
            )
            return Verdict(True, "role", text % {"roles": ", ".join(shared)})
        return Verdict(True, "person", _("The model is open to this person by name."))

    def why_not(self, model: ChatModel) -> Verdict:
        opened = sorted(self.roles[model.pk])
        values = {"roles": ", ".join(opened), "held": ", ".join(sorted(self.held)) or "—"}
        text = (
            _(
                "The model is open to these roles: %(roles)s. This person has others (%(held)s) "
                "and is not named."
            )
            if opened
            else _("The model is open to people by name, and this person is not named.")
        )
        return Verdict(False, "no_access", text % values)


def _refusal(model: ChatModel, user: User, rules: _Rules, *, sound: bool) -> Verdict | None:
    """The first rule that stands against it, None when none does."""
    verdict = _not_theirs(model, user, rules)
    if verdict is None and not model.enabled:
        verdict = Verdict(False, "model_disabled", _("The model is disabled."))
    if verdict is None and not model.connection.enabled:
        verdict = Verdict(
            False, "connection_disabled", _("The connection of this model is disabled.")
        )
    if verdict is None and not sound:
        verdict = Verdict(
            False, "key_unreadable", _("The stored key of its connection cannot be decrypted.")
        )
    return verdict


def _not_theirs(model: ChatModel, user: User, rules: _Rules) -> Verdict | None:
    if not user.is_active:
        return Verdict(False, "suspended", _("This person is suspended."))
    if model.owner_id is not None:
        if model.owner_id == user.pk:
            return None
        return Verdict(False, "personal", _("A personal model serves its owner alone."))
    if not rules.let_in(model):
        return rules.why_not(model)
    if model.name in rules.own_names:
        return Verdict(
            False, "hidden", _("This person has a model of the same name, which is used instead.")
        )
    return None
