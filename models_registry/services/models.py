"""Models: made, changed and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction
from accounts.services import audit
from common.db import write_transaction
from common.errors import Conflict, Invalid, NotFound, PermissionDenied
from models_registry.models import ChatModel, Connection
from models_registry.models.connection import PERSONAL, SYSTEM
from models_registry.services import prices
from models_registry.services.access import Access, access_fields, change_access, set_access
from models_registry.services.permissions import Actor, check_may, check_system
from models_registry.services.records import model_fields, model_target
from models_registry.signals import models_removed
from models_registry.well_known import lookup

MOST_FALLBACKS = 5
OFFLINE = "offline"

# What the wire and the table call the same.
_PLAIN = (
    "name",
    "upstream_name",
    "display_name",
    "enabled",
    "context_window",
    "max_output_tokens",
)
# Left out, these come from what is known of the model.
_KNOWN = ("context_window", "max_output_tokens", "input_price", "output_price", "cached_price")


def create_model(
    actor: Actor,
    *,
    scope: str,
    name: str,
    connection_id: UUID,
    access: Access | None = None,
    fallbacks: Iterable[str] = (),
    **fields: Any,
) -> ChatModel:
    """A new model; what `fields` leave out is filled from the table of well-known models.

    Without `access` a system model is open to everyone. Raises PermissionDenied, NotFound (the
    connection is not theirs) and Invalid.
    """
    connection = _connection_for(actor, scope, connection_id)
    model = ChatModel(name=name, connection=connection, owner=connection.owner)
    fields["upstream_name"] = fields.get("upstream_name") or name
    for field, value in (known_fields(fields["upstream_name"]) | fields).items():
        setattr(model, field, value)
    if "input_price" in fields and "cached_price" not in fields:
        model.cached_price = None
    prices.check(model.price)
    model.everyone = scope == SYSTEM and access is None
    model.fallbacks = fallback_ids(model, fallbacks)
    with _named_once(model), write_transaction():
        model.save(force_insert=True)
        if access is not None:
            set_access(model, access)
        audit.record(
            AuditAction.MODEL_CREATED,
            actor=actor,
            target=model_target(model),
            after=model_fields(model) | access_fields(access or Access(everyone=model.everyone)),
        )
    return model


def change_model(model: ChatModel, *, actor: Actor, changes: Mapping[str, Any]) -> ChatModel:
    """Apply `changes`: plain fields, prices (from now on), `access`, `fallbacks`,
    `connection_id`. A scope stays.

    Raises PermissionDenied, NotFound and Invalid.
    """
    check_may(actor, model, "change")
    if changes.get("scope", model.scope) != model.scope:
        raise Invalid.field("scope", _("A model stays where it was made."))
    columns, was = {"updated_at"}, model_fields(model)
    if "connection_id" in changes:
        model.connection = _connection_for(actor, model.scope, changes["connection_id"])
        columns.add("connection")
    for name in changes.keys() & set(_PLAIN):
        setattr(model, name, changes[name])
        columns.add(name)
    if "fallbacks" in changes:
        model.fallbacks = fallback_ids(model, changes["fallbacks"])
        columns.add("fallbacks")
    price = prices.changed(model.price, changes)
    with _named_once(model), write_transaction():
        columns |= prices.charge(model, price, actor=actor)
        model.save(update_fields=columns)
        audit.record(
            AuditAction.MODEL_CHANGED,
            actor=actor,
            target=model_target(model),
            before=was,
            after=model_fields(model),
        )
        if (access := changes.get("access")) is not None:
            change_access(model, access, actor=actor)
    return model


def delete_model(model: ChatModel, *, actor: Actor) -> None:
    """Delete it; turns that run on it end."""
    check_may(actor, model, "delete")
    if model.owner_id is None and model.connection.provider == Connection.Provider.OFFLINE:
        raise Conflict(_("The built-in model cannot be deleted. Disable it instead."))
    gone = frozenset({model.id})
    with write_transaction():
        audit.record(
            AuditAction.MODEL_DELETED,
            actor=actor,
            target=model_target(model),
            before=model_fields(model),
        )
        model.delete()
        transaction.on_commit(partial(models_removed.send_robust, sender=ChatModel, model_ids=gone))


def set_enabled(models: Iterable[ChatModel], *, actor: Actor, enabled: bool) -> int:
    """Switch them on or off; how many were changed."""
    chosen = list(models)
    for model in chosen:
        check_may(actor, model, "change")
    with write_transaction():
        rows = ChatModel.objects.filter(pk__in=[model.pk for model in chosen])
        others = list(rows.exclude(enabled=enabled))
        for model in others:
            audit.record(
                AuditAction.MODEL_CHANGED,
                actor=actor,
                target=model_target(model),
                before={"enabled": not enabled},
                after={"enabled": enabled},
            )
        return rows.filter(pk__in=[model.pk for model in others]).update(enabled=enabled)


def known_fields(upstream_name: str) -> dict[str, Any]:
    """Columns that the table of well-known models fills for a model of this name."""
    known = lookup(upstream_name)
    if known is None:
        return {}
    columns: dict[str, Any] = {name: getattr(known, name) for name in _KNOWN}
    return columns | {"capabilities": list(known.capabilities)}


def ensure_offline_model() -> None:
    """Make the built-in connection and model, unless they are there."""
    with write_transaction():
        connection, _made = Connection.objects.get_or_create(
            provider=Connection.Provider.OFFLINE, owner=None, defaults={"name": OFFLINE}
        )
        if not ChatModel.objects.filter(connection=connection).exists():
            ChatModel.objects.get_or_create(
                name=OFFLINE,
                owner=None,
                defaults={
                    "connection": connection,
                    "upstream_name": OFFLINE,
                    "everyone": True,
                    "capabilities": ["tools"],
                },
            )


def fallback_ids(model: ChatModel, names: Iterable[str]) -> list[str]:
    """Ids of models that may stand in: of the same owner, or the deployment's."""
    wanted = list(dict.fromkeys(names))
    if len(wanted) > MOST_FALLBACKS:
        raise Invalid.field(
            "fallbacks", _("Name at most %(count)d models.") % {"count": MOST_FALLBACKS}
        )
    if not wanted:
        return []
    system = ChatModel.objects.filter(owner=None, name__in=wanted)
    found = {each.name: each for each in system}
    if model.owner_id is not None:
        own = ChatModel.objects.filter(owner=model.owner_id, name__in=wanted)
        found |= {each.name: each for each in own}
    if any(name not in found or found[name].pk == model.pk for name in wanted):
        raise Invalid.field("fallbacks", _("Name other models that you may use."))
    return [str(found[name].pk) for name in wanted]


def _connection_for(actor: Actor, scope: str, connection_id: UUID) -> Connection:
    if scope == SYSTEM:
        check_system(actor, ChatModel, "add")
        found = Connection.objects.system().filter(pk=connection_id).first()
    elif scope != PERSONAL:
        raise Invalid.field("scope", _("Use system or personal."))
    elif actor is None:
        raise PermissionDenied
    else:
        found = Connection.objects.filter(pk=connection_id, owner=actor).first()
    if found is None:
        raise NotFound
    return found


@contextmanager
def _named_once(model: ChatModel) -> Iterator[None]:
    """A name that is taken is the caller's mistake, and a connection that was deleted meanwhile is
    nobody's. What else cannot be stored is a bug."""
    try:
        yield
    except IntegrityError as exc:
        others = ChatModel.objects.filter(owner=model.owner_id).exclude(pk=model.pk)
        if others.filter(name=model.name).exists():
            raise Invalid.field("name", _("A model of this name exists already.")) from exc
        if not Connection.objects.filter(pk=model.connection_id).exists():
            raise NotFound from exc
        raise
