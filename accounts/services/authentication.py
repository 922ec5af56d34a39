"""Is it them? One function for the API, the pages and the admin."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from accounts.errors import InvalidCredentials
from accounts.models import AuditAction, User
from accounts.names import fold
from accounts.services import audit, lockout, passwords
from common import pacing
from common.db import write_transaction
from common.errors import AppError


@dataclass(frozen=True, slots=True)
class Proof:
    """A person who gave the right password, and the hash it was checked against.

    `accounts.services.sign_ins.begin` takes it only while that hash is still the stored one.
    """

    user: User
    password_hash: str
    upgrade: str | None = None


def authenticate(*, name: str, password: str, address: str) -> Proof:
    """The active person whose user name or e-mail is `name`.

    Raises InvalidCredentials, alike for an unknown name, a wrong password, a suspended person
    and one without password; LockedOut, RateLimited (the hasher is busy), Invalid (too long).
    """
    passwords.check_length(password)
    user = User.objects.named(name).first()
    return _prove(
        user,
        account=str(user.pk) if user else fold(name),
        password=password,
        address=address,
        refusal=AuditAction.SIGN_IN_REFUSED,
    )


def confirm_password(user: User, *, password: str, address: str) -> Proof:
    """Somebody signed in as `user` gives the password once more. Raises as `authenticate`."""
    passwords.check_length(password)
    return _prove(
        User.objects.get_queryset().filter(pk=user.pk).first(),
        account=str(user.pk),
        password=password,
        address=address,
        refusal=AuditAction.PASSWORD_REFUSED,
    )


def _prove(
    user: User | None, *, account: str, password: str, address: str, refusal: AuditAction
) -> Proof:
    attempt = lockout.count_attempt(user, account=account, address=address)
    try:
        verdict = passwords.verify(user, password)
    except AppError:
        lockout.give_back(attempt)  # nothing was checked, so nothing was learnt
        raise
    if attempt.slowed:
        # Right or wrong alike (S7). A thread that slept here would be the guesser's to hold.
        pacing.hold_back(settings.SIGN_IN_DELAY_SECONDS)
    if user is None or not verdict.right or not user.is_active:
        _record(refusal, user, reason=_reason(user, right=verdict.right))
        raise InvalidCredentials
    lockout.give_back(attempt)
    return Proof(user, user.password, verdict.upgrade)


def _reason(user: User | None, *, right: bool) -> str:
    if user is None:
        return "unknown"
    return "suspended" if right else "wrong"


def _record(refusal: AuditAction, user: User | None, *, reason: str) -> None:
    """For nobody too, and alike: the name that was typed may be somebody's password."""
    signed_in = refusal == AuditAction.PASSWORD_REFUSED
    with write_transaction():
        audit.record(
            refusal,
            actor=user if signed_in else None,
            target=audit.person(user) if user else audit.NOTHING,
            after={"reason": reason},
        )
