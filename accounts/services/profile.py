"""What people change about themselves."""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.utils.translation import gettext as _

from accounts.models import AuditAction, User
from accounts.services import audit, email_addresses, passwords, people, recovery, sign_ins
from accounts.services.authentication import confirm_password
from accounts.services.callers import Caller
from common.db import write_transaction
from common.errors import Conflict, Invalid, NotFound

# All that a person may write about themselves without a password (A4).
FIELDS = frozenset({"display_name", "language", "timezone", "preferences"})


@functools.cache
def known_timezones() -> frozenset[str]:
    """Names like Europe/Berlin; reading them walks a folder of a thousand files."""
    return frozenset(available_timezones())


def update_profile(
    user: User, *, email: str = "", password: str | None = None, address: str = "", **fields: Any
) -> User:
    """Store the named fields; a new `email` needs the password and counts once confirmed.

    One's present `email` takes back the wish for another one. Raises Invalid, and NotFound for a
    person who was erased meanwhile.
    """
    if unknown := fields.keys() - FIELDS:
        raise Invalid.field(min(unknown), _("This cannot be changed here."))
    new_email = email_addresses.free(email, user=user) if email else user.email
    proof = None
    if new_email != user.email:
        proof = email_addresses.prove_wish(user, password=password, address=address)
    if not fields and not email:
        return user
    with write_transaction():
        if fields and not User.objects.filter(pk=user.pk).update(**fields):
            raise NotFound
        if proof is not None:
            email_addresses.await_confirmation(proof, new_email)
        elif email:
            email_addresses.forget_wish(user)
    for name, value in fields.items():
        setattr(user, name, value)
    return user


def change_password(caller: Caller, *, old: str, new: str, address: str) -> None:
    """Every device but the calling one is signed out. Raises InvalidCredentials, Invalid."""
    user = caller.user
    passwords.check_length(old, field="old_password")
    passwords.check_new(new, user=user, field="new_password")
    proof = confirm_password(user, password=old, address=address)
    keep = caller.sign_in.pk if caller.sign_in else None
    store_password(proof.user, new, actor=user, keep=keep)


def store_password(
    user: User, password: str, *, actor: User | None, keep: UUID | None = None
) -> None:
    """Set it and sign every device out, but `keep`. The password was checked before."""
    encoded = passwords.hash_password(password)
    with write_transaction():
        changed = User.objects.filter(pk=user.pk, password=user.password).update(password=encoded)
        if not changed:
            raise Conflict(_("The password was changed from elsewhere at the same time."))
        recovery.forget_links(user.pk)
        sign_ins.revoke(user.pk, but=keep)
        audit.record(AuditAction.PASSWORD_CHANGED, actor=actor, target=audit.person(user))
    user.password = encoded


def end_sign_in(user: User, sign_in_id: UUID) -> None:
    """Sign one device out; raises NotFound when it is not this person's, or is over."""
    if not user.sign_ins.live().filter(pk=sign_in_id).exists():
        raise NotFound
    sign_ins.sign_out(user, actor=user, only=sign_in_id)


def erase_self(caller: Caller, *, password: str, address: str) -> None:
    """The person goes, and what is theirs. Raises InvalidCredentials, Conflict (last admin)."""
    confirm_password(caller.user, password=password, address=address)
    people.erase(caller.user, actor=caller.user)
