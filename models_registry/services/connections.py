"""Connections: made, changed and deleted by their owner, or by staff for the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction
from accounts.services import audit
from common.crypto import encrypt
from common.db import release_connection, write_transaction
from common.errors import Conflict, Invalid, PermissionDenied
from common.outbound import check_header_value, check_url
from models_registry.models import ChatModel, Connection
from models_registry.models.connection import PERSONAL, SYSTEM
from models_registry.providers.vendors import VENDORS, Vendor, needs_key
from models_registry.services.permissions import Actor, check_may, check_system, is_staff
from models_registry.services.records import connection_fields, connection_target
from models_registry.signals import models_removed

KEY_CHARACTERS = 4_096

_SHOWN_CHARACTERS = 4
_SHORTEST_HINTED_KEY = 12

# Whoever may change a connection but not read its key would else have it sent elsewhere (K8).
_NEEDS_THE_KEY_ANEW = ("provider", "base_url", "scope")


def create_connection(actor: Actor, **fields: Any) -> Connection:
    """A new connection from the fields of `draft_connection`, which raises what there is."""
    connection = draft_connection(actor, **fields)
    insert_connection(connection, actor=actor)
    return connection


def draft_connection(
    actor: Actor,
    *,
    scope: str,
    provider: str,
    name: str,
    base_url: str = "",
    api_key: str = "",
    enabled: bool = True,
    resolve: bool = True,
) -> Connection:
    """A connection that could be stored; nothing is sent to its address.

    `resolve` looks the address up now; it is judged at every connect anyway. Raises
    PermissionDenied (a system one without the right) and Invalid.
    """
    connection = Connection(name=name, enabled=enabled, provider=provider, base_url=base_url)
    _put_in_scope(connection, actor, scope)
    _seal(connection, api_key)
    _check(connection, actor, resolve=resolve)
    return connection


def insert_connection(connection: Connection, *, actor: Actor) -> None:
    """Store a draft."""
    with write_transaction():
        connection.save(force_insert=True)
        audit.record(
            AuditAction.CONNECTION_CREATED,
            actor=actor,
            target=connection_target(connection),
            after=connection_fields(connection),
        )


def change_connection(
    connection: Connection,
    *,
    actor: Actor,
    changes: Mapping[str, Any],
    resolve: bool = True,
) -> Connection:
    """Apply `changes`; an `api_key` of "" drops the stored key.

    Another `provider`, `base_url` or `scope` needs the key anew, if one is stored. Raises
    PermissionDenied, Invalid and Conflict.
    """
    before = {name: getattr(connection, name) for name in ("provider", "base_url", "owner_id")}
    was = connection_fields(connection)
    draft_change(connection, actor=actor, changes=changes, resolve=resolve)
    try:
        with write_transaction():
            # A key meant for one address must not meet another that was stored meanwhile (K8).
            same = Connection.objects.select_for_update().filter(pk=connection.pk, **before)
            if not same.exists():
                raise Conflict(_("Somebody else changed this connection. Look at it again."))
            connection.save(update_fields=_columns(changes))
            if connection.owner_id != before["owner_id"]:
                _move_models(connection)
            _record_change(connection, actor=actor, was=was, key="api_key" in changes)
    except IntegrityError as exc:
        if not _meets_namesakes(connection):
            raise
        raise Conflict(_("A model of the same name is there already. Rename one first.")) from exc
    return connection


def draft_change(
    connection: Connection,
    *,
    actor: Actor,
    changes: Mapping[str, Any],
    resolve: bool = True,
) -> None:
    """Set `changes` on the object and store nothing; raises what `change_connection` raises."""
    check_may(actor, connection, "change")
    wanted = dict(changes)
    if "base_url" in wanted:
        wanted["base_url"] = wanted["base_url"].rstrip("/") or _default_url(connection, wanted)
    moved = any(
        name in wanted and wanted[name] != getattr(connection, name) for name in _NEEDS_THE_KEY_ANEW
    )
    if moved and connection.sealed_api_key and "api_key" not in wanted:
        raise Invalid.field("api_key", _("Enter the key again to change this."))
    for name in wanted.keys() & {"name", "enabled", "provider", "base_url"}:
        setattr(connection, name, wanted[name])
    if wanted.get("scope", connection.scope) != connection.scope:
        _put_in_scope(connection, actor, wanted["scope"])
    if "api_key" in wanted:
        _seal(connection, wanted["api_key"])
    _check(connection, actor, resolve=resolve and moved)


def delete_connection(connection: Connection, *, actor: Actor) -> None:
    """Delete it with its models; turns that run on them end."""
    check_may(actor, connection, "delete")
    if connection.provider == Connection.Provider.OFFLINE and connection.owner_id is None:
        raise Conflict(_("The built-in model cannot be deleted. Disable it instead."))
    with write_transaction():
        gone = frozenset(connection.chat_models.values_list("id", flat=True))
        audit.record(
            AuditAction.CONNECTION_DELETED,
            actor=actor,
            target=connection_target(connection),
            before=connection_fields(connection) | {"models": len(gone)},
        )
        connection.delete()
        transaction.on_commit(partial(models_removed.send_robust, sender=ChatModel, model_ids=gone))


def set_enabled(connections: list[Connection], *, actor: Actor, enabled: bool) -> int:
    """Switch them on or off; how many were changed."""
    for connection in connections:
        check_may(actor, connection, "change")
    with write_transaction():
        chosen = Connection.objects.filter(pk__in=[each.pk for each in connections])
        others = list(chosen.exclude(enabled=enabled))
        for connection in others:
            audit.record(
                AuditAction.CONNECTION_CHANGED,
                actor=actor,
                target=connection_target(connection),
                before={"enabled": not enabled},
                after={"enabled": enabled},
            )
        return chosen.filter(pk__in=[each.pk for each in others]).update(enabled=enabled)


def _record_change(connection: Connection, *, actor: Actor, was: dict[str, Any], key: bool) -> None:
    target, now = connection_target(connection), connection_fields(connection)
    audit.record(AuditAction.CONNECTION_CHANGED, actor=actor, target=target, before=was, after=now)
    if key:
        stored = {"stored": bool(connection.sealed_api_key)}
        audit.record(AuditAction.CONNECTION_KEY, actor=actor, target=target, after=stored)


def _default_url(connection: Connection, changes: Mapping[str, Any]) -> str:
    vendor = VENDORS.get(changes.get("provider", connection.provider))
    return vendor.base_url if vendor else ""


def _columns(changes: Mapping[str, Any]) -> set[str]:
    """The columns that `changes` touch; the others may be changed by somebody else meanwhile."""
    columns = {"updated_at"} | (changes.keys() & {"name", "enabled", "provider"})
    if {"provider", "base_url"} & changes.keys():
        columns.add("base_url")
    if "scope" in changes:
        columns.add("owner")
    if "api_key" in changes:
        columns |= {"sealed_api_key", "api_key_hint"}
    return columns


def _put_in_scope(connection: Connection, actor: Actor, scope: str) -> None:
    if scope == SYSTEM:
        check_system(actor, Connection, "add")
        connection.owner = None
    elif scope == PERSONAL:
        if actor is None:
            raise PermissionDenied
        connection.owner = actor
    else:
        raise Invalid.field("scope", _("Use system or personal."))


def _seal(connection: Connection, api_key: str) -> None:
    if not api_key:
        connection.sealed_api_key = connection.api_key_hint = ""
        return
    check_header_value(api_key, field="api_key")
    if len(api_key) > KEY_CHARACTERS:
        raise Invalid.field("api_key", _("This key is too long."))
    shown = len(api_key) >= _SHORTEST_HINTED_KEY
    connection.api_key_hint = f"…{api_key[-_SHOWN_CHARACTERS:]}" if shown else ""
    connection.sealed_api_key = encrypt(api_key, context=connection.key_context)


def _check(connection: Connection, actor: Actor, *, resolve: bool) -> None:
    """Raise Invalid unless provider, address and key go together."""
    vendor = VENDORS.get(connection.provider)
    if vendor is None:
        raise Invalid.field("provider", _("This provider is not known."))
    connection.base_url = connection.base_url.rstrip("/") or vendor.base_url
    _check_key(vendor, connection)
    if not vendor.takes_url:
        connection.base_url = ""
    elif not connection.base_url:
        raise Invalid.field("base_url", _("This provider needs an address."))
    else:
        staff = is_staff(actor)
        if resolve:
            release_connection()
        check_url(connection.base_url, staff=staff, resolve=resolve)


def _check_key(vendor: Vendor, connection: Connection) -> None:
    has_key = bool(connection.sealed_api_key)
    if has_key and not vendor.takes_key:
        raise Invalid.field("api_key", _("This provider takes no key."))
    if not has_key and needs_key(vendor, connection.base_url):
        raise Invalid.field("api_key", _("This provider needs a key."))


def _meets_namesakes(connection: Connection) -> bool:
    """Whether its owner, an old one or a new one, has other models of the same names."""
    others = ChatModel.objects.filter(owner=connection.owner_id).exclude(connection=connection)
    return others.filter(name__in=connection.chat_models.values("name")).exists()


def _move_models(connection: Connection) -> None:
    """The models follow their connection's owner; nobody else keeps a right to them (A7)."""
    for grants in (ChatModel.roles.through, ChatModel.users.through):
        grants.objects.filter(chatmodel__connection=connection).delete()
    connection.chat_models.update(owner=connection.owner_id, everyone=False, fallbacks=[])
