"""Signed-in devices: beginning, using, ending."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.errors import InvalidCredentials
from accounts.models import AuditAction, Session, SignIn, TargetKind, User
from accounts.services import audit
from accounts.services.authentication import Proof
from common.db import write_transaction
from common.sources import ADDRESS_CHARACTERS, CLIENT_CHARACTERS
from common.text import printable


def begin(proof: Proof, *, client: str = "", address: str = "") -> SignIn:
    """Sign a device in with tokens. Raises InvalidCredentials when the password has just changed.

    The UPDATE holds the person's row, so a suspension or a password change comes either before
    it, and nobody gets in, or after it, and revokes what began here.
    """
    stored = {"password": proof.upgrade} if proof.upgrade else {}
    with write_transaction():
        if not (
            User.objects.active()
            .filter(pk=proof.user.pk, password=proof.password_hash)
            .update(last_login=timezone.now(), **stored)
        ):
            raise InvalidCredentials
        return open_for(proof.user, client=client, address=address)


def open_for(
    user: User,
    *,
    client: str = "",
    address: str = "",
    seconds: int | None = None,
    idle_seconds: int | None = None,
) -> SignIn:
    """A row for one more device; without times it lives as long as a family of tokens."""
    now = timezone.now()
    idle = settings.REFRESH_TOKEN_SECONDS if idle_seconds is None else idle_seconds
    whole = settings.FAMILY_SECONDS if seconds is None else seconds
    with write_transaction():
        sign_in = SignIn.objects.create(
            user=user,
            client=printable(client)[:CLIENT_CHARACTERS],
            address=address[:ADDRESS_CHARACTERS],
            idle_seconds=idle,
            last_used_at=now,
            expires_at=now + timedelta(seconds=whole),
            idle_expires_at=now + timedelta(seconds=idle),
        )
        target = audit.Target(TargetKind.SESSION, sign_in.pk)
        audit.record(AuditAction.SIGN_IN, actor=user, target=target)
    return sign_in


def touch(sign_in: SignIn) -> None:
    """Note that the device is in use, at most once a minute."""
    now = timezone.now()
    if now - sign_in.last_used_at < timedelta(seconds=settings.SIGN_IN_TOUCH_SECONDS):
        return
    try:
        with write_transaction():
            SignIn.objects.filter(pk=sign_in.pk, last_used_at=sign_in.last_used_at).update(
                last_used_at=now, idle_expires_at=now + timedelta(seconds=sign_in.idle_seconds)
            )
    except DatabaseError:
        # A full disk must not stop people from reading; the next request tries again.
        return
    sign_in.last_used_at = now


def live(ids: Collection[UUID]) -> set[UUID]:
    """Those of `ids` that still count: not revoked, not run out, their person active."""
    return set(SignIn.objects.live().filter(pk__in=ids).values_list("pk", flat=True))


def revoke(user_id: UUID, *, only: UUID | None = None, but: UUID | None = None) -> int:
    """End the sign-ins of a person: all, `only` one, or all `but` one; how many were alive.

    Their tokens and sessions die with their next request; their sockets and streams, in whatever
    process, with its next look at the database (`accounts.consumers.look_at_credentials`).
    """
    condition = Q(user_id=user_id, revoked_at=None)
    if only:
        condition &= Q(pk=only)
    if but:
        condition &= ~Q(pk=but)
    with write_transaction():
        return SignIn.objects.filter(condition).update(revoked_at=timezone.now())


def sign_out(user: User, *, actor: User | None, only: UUID | None = None, reason: str = "") -> int:
    """`revoke` as an act of its own, on record; how many devices it signed out."""
    with write_transaction():
        ended = revoke(user.pk, only=only)
        if ended:
            audit.record(
                AuditAction.SESSION_REVOKED,
                actor=actor,
                target=audit.person(user),
                after={"sessions": ended} | ({"reason": reason} if reason else {}),
            )
    return ended


def sign_out_everyone(*, actor: User | None) -> int:
    """`revoke_everyone` as an act of its own, on record; how many devices it signed out."""
    with write_transaction():
        ended = revoke_everyone()
        if ended:
            audit.record(
                AuditAction.SESSION_REVOKED,
                actor=actor,
                target=audit.Target(TargetKind.SESSION),
                after={"sessions": ended, "reason": "everyone"},
            )
    return ended


def revoke_everyone() -> int:
    """End every device of everybody; how many were alive."""
    with write_transaction():
        return SignIn.objects.filter(revoked_at=None).update(revoked_at=timezone.now())


def outlived() -> QuerySet[SignIn]:
    """Sign-ins that have run out, and those that were revoked a day ago."""
    now = timezone.now()
    ran_out = Q(expires_at__lt=now) | Q(idle_expires_at__lt=now)
    return SignIn.objects.filter(ran_out | Q(revoked_at__lt=now - timedelta(days=1)))


def outlived_sessions() -> QuerySet[Session]:
    """Cookie sessions that have run out; those of a sign-in go with it, too."""
    return Session.objects.filter(expire_date__lt=timezone.now())
