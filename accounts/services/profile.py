"""What people change about themselves."""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Letter, MailLink, User
from accounts.services import mails, passwords, people, recovery, registration, sign_ins
from accounts.services.authentication import confirm_password
from accounts.services.callers import Caller
from accounts.signals import sign_ins_revoked, user_erasing
from common import rates
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
    """Store the named fields; a new `email` needs the password and counts once confirmed."""
    if unknown := fields.keys() - FIELDS:
        raise Invalid.field(min(unknown), _("This cannot be changed here."))
    new_email = registration.free_email(email, user=user) if email else user.email
    if new_email != user.email:
        if not password:
            raise Invalid.field("password", _("A new e-mail address needs your password."))
        confirm_password(user, password=password, address=address)
        rates.hit("verify_email", str(user.pk))
        fields["pending_email"] = new_email
    if fields:
        with write_transaction():
            for name, value in fields.items():
                setattr(user, name, value)
            user.save(update_fields=list(fields))
            if "pending_email" in fields:
                _drop_confirmations(user.pk)
                mails.post(Letter.CONFIRM_EMAIL, address=new_email, user=user)
                mails.post(Letter.EMAIL_CHANGE_ASKED, address=user.email, user=user)
    return user


def confirm_email(*, uid: str, token: str) -> User:
    """The new mailbox answered: its address is the person's from now on. Raises TokenInvalid,
    Conflict."""
    link = recovery.find_link(MailLink.Purpose.CONFIRM_EMAIL, uid=uid, token=token)
    with write_transaction():
        recovery.spend(link)
        people.store_email(link.user, link.address, verified_at=timezone.now())
    return link.user


def change_password(caller: Caller, *, old: str, new: str, address: str) -> None:
    """Every device but the calling one is signed out. Raises InvalidCredentials, Invalid."""
    user = caller.user
    passwords.check_length(old, field="old_password")
    passwords.check_new(new, user=user, field="new_password")
    proof = confirm_password(user, password=old, address=address)
    store_password(proof.user, new, keep=caller.sign_in.pk if caller.sign_in else None)


def store_password(user: User, password: str, *, keep: UUID | None = None) -> None:
    """Set it and sign every device out, but `keep`. The password was checked before."""
    encoded = passwords.hash_password(password)
    with write_transaction():
        changed = User.objects.filter(pk=user.pk, password=user.password).update(password=encoded)
        if not changed:
            raise Conflict(_("The password was changed from elsewhere at the same time."))
        recovery.forget_links(user.pk)
        sign_ins.revoke(user.pk, but=keep)
    user.password = encoded


def end_sign_in(user: User, sign_in_id: UUID) -> None:
    """Sign one device out; raises NotFound when it is not this person's, or is over."""
    if not user.sign_ins.live().filter(pk=sign_in_id).exists():
        raise NotFound
    sign_ins.revoke(user.pk, only=sign_in_id)


def erase_self(caller: Caller, *, password: str, address: str) -> None:
    """The person goes, and what is theirs. Raises InvalidCredentials, Conflict (last admin)."""
    confirm_password(caller.user, password=password, address=address)
    erase(caller.user)


def erase(user: User) -> None:
    """Remove a person and all that is personal, in every app, or nothing at all."""
    user_id = user.pk
    with write_transaction():
        people.check_not_last_administrator(user)
        user_erasing.send(User, user=user)
        user.delete()
        transaction.on_commit(
            lambda: sign_ins_revoked.send_robust(User, user_id=user_id, sign_in_ids=None)
        )


def _drop_confirmations(user_id: UUID) -> None:
    MailLink.objects.filter(user_id=user_id, purpose=MailLink.Purpose.CONFIRM_EMAIL).delete()
