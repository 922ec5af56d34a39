"""API keys: made, shown once, used, ended (K1-K4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import ApiKey, AuditAction, Scope, TargetKind, User
from accounts.services import audit, key_format
from accounts.signals import credentials_ended
from common.addresses import Network, parse
from common.db import write_transaction
from common.digests import digest
from common.errors import Conflict, Invalid, PermissionDenied
from common.statements import SelectWith
from common.text import is_line

# Of a key, what its owner tells it by: "parley-" and five digits of forty-three.
PREFIX_CHARACTERS = 12
MODEL_CHARACTERS = 200
DEFAULT_SCOPES = (Scope.READ.value, Scope.CHAT.value)

# ::ffff:0:0/96
_MAPPED_BITS = 96

_of_digest = SelectWith(
    ApiKey,
    "user",
    "digest",
    build=lambda digest: ApiKey.objects.filter(digest=digest),
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. Nobody can read its `text` again."""

    row: ApiKey
    text: str = field(repr=False)


def create(
    owner: User,
    *,
    name: str,
    scopes: Collection[str] | None = None,
    models: Collection[str] = (),
    addresses: Collection[str] = (),
    expires_at: datetime | None = None,
    actor: User | None,
) -> NewKey:
    """Make a key; `scopes` None are those to read and to chat. `actor` None is the command line.

    Raises Invalid, Conflict (too many), PermissionDenied (the owner is suspended).
    """
    _check_names("name", [name], most=settings.NAME_CHARACTERS)
    _check_names("models", models, most=MODEL_CHARACTERS)
    scopes = _checked_scopes(DEFAULT_SCOPES if scopes is None else scopes)
    addresses = _checked_addresses(addresses)
    _check_expiry(expires_at)
    text = key_format.new_key()
    row = ApiKey(
        user=owner,
        name=name,
        prefix=text[:PREFIX_CHARACTERS],
        digest=digest(text),
        scopes=scopes,
        models=_each_once(models),
        addresses=addresses,
        expires_at=expires_at,
    )
    with write_transaction():
        # Held, so that a suspension comes either before it or after it, and ends this key too.
        if not User.objects.active().select_for_update().filter(pk=owner.pk).exists():
            raise PermissionDenied(_("A suspended person gets no API key."))
        if ApiKey.objects.visible_to(owner).count() >= settings.API_KEYS_PER_USER:
            raise Conflict(_("These are as many API keys as a person can have. Revoke one first."))
        row.save(force_insert=True)
        audit.record(
            AuditAction.KEY_CREATED,
            actor=actor,
            target=_target(row),
            after={
                "owner": owner.pk,
                "scopes": scopes,
                "models": row.models,
                "addresses": addresses,
                "expires_at": expires_at,
            },
        )
    return NewKey(row, text)


def find(text: str) -> ApiKey | None:
    """The row of this key, with its person; None if there is none. One query, and none at all for
    what no key can be."""
    if not key_format.is_well_formed(text):
        return None
    return _of_digest.first(digest=digest(text))


def admits(key: ApiKey, address: str) -> bool:
    """May it be used from there?"""
    if not key.addresses:
        return True
    caller = parse(address)
    return caller is not None and any(caller in _network(each) for each in key.addresses)


def touch(key: ApiKey) -> None:
    """Note that it is in use, at most once a minute."""
    now = timezone.now()
    seconds = settings.SIGN_IN_TOUCH_SECONDS
    if key.last_used_at is not None and now - key.last_used_at < timedelta(seconds=seconds):
        return
    try:
        with write_transaction():
            ApiKey.objects.filter(pk=key.pk, last_used_at=key.last_used_at).update(last_used_at=now)
    except DatabaseError:
        # A full disk must not stop programs from reading; the next request tries again.
        return
    key.last_used_at = now


def scopes_of_live(ids: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """Of those that still count, what they may be used for."""
    now = timezone.now()
    live = ApiKey.objects.filter(pk__in=ids, revoked_at=None, user__is_active=True).exclude(
        expires_at__lte=now
    )
    return {pk: frozenset(scopes) for pk, scopes in live.values_list("pk", "scopes")}


def revoke(key: ApiKey, *, actor: User | None) -> bool:
    """End it, everywhere and for good; False where it had ended already.

    It is refused from the next request on, in every process; its sockets and streams end as soon
    as their process has heard of it, or at its next look.
    """
    with write_transaction():
        if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
            return False
        audit.record(
            AuditAction.KEY_REVOKED, actor=actor, target=_target(key), after={"owner": key.user_id}
        )
        _announce(key.user_id)
    return True


def revoke_all(user_id: UUID) -> int:
    """End every key of a person, as part of what ends all of theirs; how many there were."""
    with write_transaction():
        theirs = ApiKey.objects.filter(user_id=user_id, revoked_at=None)
        ended = theirs.update(revoked_at=timezone.now())
        _announce(user_id)
    return ended


def revoke_everyone() -> int:
    """End every key of everybody; how many were left."""
    with write_transaction():
        return ApiKey.objects.filter(revoked_at=None).update(revoked_at=timezone.now())


def outlived() -> QuerySet[ApiKey]:
    """Keys that ended so long ago that nobody asks any more whose they were."""
    bound = timezone.now() - timedelta(days=settings.API_KEY_DAYS)
    return ApiKey.objects.filter(Q(revoked_at__lt=bound) | Q(expires_at__lt=bound))


def _announce(user_id: UUID) -> None:
    transaction.on_commit(lambda: credentials_ended.send(ApiKey, user_id=user_id))


def _target(key: ApiKey) -> audit.Target:
    """Not by its name, which a person wrote: it would outlive them there."""
    return audit.Target(TargetKind.KEY, key.pk, f"{key.prefix}…")


def _check_names(field: str, names: Iterable[str], *, most: int) -> None:
    for name in names:
        if not is_line(name):
            raise Invalid.field(
                field, _("A name is one line of visible characters, without marks of direction.")
            )
        if len(name) > most:
            raise Invalid.field(field, _("Use at most %(count)d characters.") % {"count": most})


def _checked_scopes(scopes: Collection[str]) -> list[str]:
    if unknown := set(scopes) - set(Scope.values):
        raise Invalid.field(
            "scopes",
            _("%(scope)s is no scope. There are: %(known)s.")
            % {"scope": min(unknown), "known": ", ".join(Scope.values)},
        )
    return [scope for scope in Scope.values if scope in scopes]


def _checked_addresses(addresses: Iterable[str]) -> list[str]:
    try:
        return _each_once(str(_network(each)) for each in addresses)
    except ValueError:
        raise Invalid.field(
            "addresses", _("Use addresses and networks like 203.0.113.7 or 2001:db8::/32.")
        ) from None


def _network(text: str) -> Network:
    """Raises ValueError. IPv4 in IPv6 clothes as IPv4, as callers' addresses are read."""
    network = ipaddress.ip_network(text.strip(), strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is None:
        return
    if expires_at <= timezone.now():
        raise Invalid.field("expires_at", _("This is past."))
    if expires_at.year > settings.DATE_YEARS[1]:
        last = settings.DATE_YEARS[1]
        raise Invalid.field("expires_at", _("Use a year up to %(year)d.") % {"year": last})


def _each_once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
