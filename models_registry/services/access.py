"""Who may use a model of the deployment."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from common.db import write_transaction
from common.errors import Conflict, Invalid, NotFound
from models_registry.models import ChatModel
from models_registry.services.permissions import Actor, check_may
from models_registry.services.records import model_target


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a model of the deployment: everyone, or these roles and people."""

    everyone: bool = False
    roles: tuple[str, ...] = ()
    users: tuple[UUID, ...] = ()


def access_of(model: ChatModel) -> Access:
    return Access(
        everyone=model.everyone,
        roles=tuple(group.name for group in model.roles.all()),
        users=tuple(user.pk for user in model.users.all()),
    )


def access_fields(access: Access) -> dict[str, Any]:
    return {
        "everyone": access.everyone,
        "roles": sorted(access.roles),
        "users": sorted(str(user) for user in access.users),
    }


def set_access(model: ChatModel, access: Access) -> None:
    if model.owner_id is not None:
        if access != Access():
            raise Invalid.field("access", _("A personal model serves its owner alone."))
        return
    groups = _groups_named(access.roles)
    people = list(User.objects.get_queryset().filter(pk__in=access.users))
    if len(people) != len(set(access.users)):
        raise Invalid.field("access", _("There is no such person."))
    model.roles.set(groups)
    model.users.set(people)
    if model.everyone != access.everyone:
        model.everyone = access.everyone
        model.save(update_fields=["everyone"])


def change_access(model: ChatModel, access: Access, *, actor: Actor) -> None:
    before = access_of(model)
    set_access(model, access)
    audit.record(
        AuditAction.MODEL_ACCESS,
        actor=actor,
        target=model_target(model),
        before=access_fields(before),
        after=access_fields(access),
    )


def grant(
    model: ChatModel,
    *,
    actor: Actor,
    everyone: bool | None = None,
    roles: Collection[str] = (),
    users: Collection[UUID] = (),
) -> bool:
    """Open a system model to more: to everyone, to roles, to people; whether that changed anything.

    Nobody loses anything, unless `everyone` is False. Raises PermissionDenied, NotFound, Invalid.
    """

    def more(access: Access) -> Access:
        return Access(
            everyone=access.everyone if everyone is None else everyone,
            roles=tuple(dict.fromkeys([*access.roles, *roles])),
            users=tuple(dict.fromkeys([*access.users, *users])),
        )

    return _alter(model, more, actor=actor)


def revoke(
    model: ChatModel,
    *,
    actor: Actor,
    everyone: bool = False,
    roles: Collection[str] = (),
    users: Collection[UUID] = (),
) -> bool:
    """Close a system model to these; whether that changed anything. Who has it by another of the
    rules for roles and people keeps it.

    Raises PermissionDenied, NotFound, Invalid, and Conflict where these would go on using it since
    it is open to everyone.
    """

    def less(access: Access) -> Access:
        if access.everyone and not everyone:
            raise Conflict(
                _("%(name)s is still open to everyone; add --everyone.") % {"name": model.name}
            )
        _groups_named(roles)
        return Access(
            everyone=False,
            roles=tuple(each for each in access.roles if each not in roles),
            users=tuple(each for each in access.users if each not in users),
        )

    return _alter(model, less, actor=actor)


def _alter(model: ChatModel, alter: Callable[[Access], Access], *, actor: Actor) -> bool:
    """Read and written under one lock: of two changes at once neither is lost."""
    check_may(actor, model, "change")
    with write_transaction():
        try:
            model.refresh_from_db(from_queryset=ChatModel.objects.select_for_update())
        except ChatModel.DoesNotExist as error:
            raise NotFound from error
        before = access_of(model)
        after = alter(before)
        if after == before:
            return False
        model.save(update_fields=["updated_at"])
        change_access(model, after, actor=actor)
    return True


def _groups_named(names: Collection[str]) -> list[Group]:
    groups = {group.name: group for group in Group.objects.filter(name__in=names)}
    for name in names:
        if name not in groups:
            raise Invalid.field("access", _("There is no role called %(name)s.") % {"name": name})
    return list(groups.values())
