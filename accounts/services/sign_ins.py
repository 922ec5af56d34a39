"""Signed-in devices: beginning, using, ending."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.errors import InvalidCredentials
from accounts.models import Session, SignIn, User
from accounts.services.authentication import Proof
from accounts.signals import sign_ins_revoked
from common.db import write_transaction
from common.text import clean

_CLIENT_CHARACTERS = 200


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
    printable = "".join(char for char in clean(client) if char.isprintable())
    return SignIn.objects.create(
        user=user,
        client=printable[:_CLIENT_CHARACTERS],
        address=address[:45],
        idle_seconds=idle,
        last_used_at=now,
        expires_at=now + timedelta(seconds=whole),
        idle_expires_at=now + timedelta(seconds=idle),
    )


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


def revoke(user_id: UUID, *, only: UUID | None = None, but: UUID | None = None) -> frozenset[UUID]:
    """End the sign-ins of a person: all, `only` one, or all `but` one. Returns whose ended.

    Their tokens and sessions die with their next request, their sockets within seconds.
    """
    condition = Q(user_id=user_id, revoked_at=None)
    if only:
        condition &= Q(pk=only)
    if but:
        condition &= ~Q(pk=but)
    with write_transaction():
        rows = SignIn.objects.filter(condition)
        ended = frozenset(rows.values_list("pk", flat=True))
        rows.update(revoked_at=timezone.now())
        named = None if only is None and but is None else ended
        transaction.on_commit(
            lambda: sign_ins_revoked.send_robust(SignIn, user_id=user_id, sign_in_ids=named)
        )
    return ended


def purge() -> int:
    """Drop sign-ins that have been over for a day, and the sessions of ended ones."""
    now = timezone.now()
    over = now - timedelta(days=1)
    Session.objects.filter(expire_date__lt=now).delete()
    ended = Q(expires_at__lt=over) | Q(idle_expires_at__lt=over) | Q(revoked_at__lt=over)
    return SignIn.objects.filter(ended).delete()[0]
