"""What people change about themselves."""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.errors import InvalidCredentials, TokenInvalid
from accounts.models import AuditAction, Letter, MailLink, User
from accounts.services import audit, mails, passwords, people, recovery, registration, sign_ins
from accounts.services.authentication import Proof, confirm_password
from accounts.services.callers import Caller
from accounts.signals import user_erasing
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
    """Store the named fields; a new `email` needs the password and counts once confirmed.

    One's present `email` takes back the wish for another one.
    """
    if unknown := fields.keys() - FIELDS:
        raise Invalid.field(min(unknown), _("This cannot be changed here."))
    new_email = registration.free_email(email, user=user) if email else user.email
    proof = None
    if new_email != user.email:
        proof = _prove_wish(user, password=password, address=address)
    if not fields and not email:
        return user
    with write_transaction():
        for name, value in fields.items():
            setattr(user, name, value)
        if fields:
            user.save(update_fields=list(fields))
        if proof is not None:
            _await_confirmation(proof, new_email)
        elif email:
            User.objects.filter(pk=user.pk).update(pending_email="")
            _drop_confirmations(user.pk)
    return user


def _prove_wish(user: User, *, password: str | None, address: str) -> Proof:
    if not password:
        raise Invalid.field("password", _("A new e-mail address needs your password."))
    proof = confirm_password(user, password=password, address=address)
    rates.hit("verify_email", str(user.pk))
    return proof


def _await_confirmation(proof: Proof, address: str) -> None:
    """Ask the new mailbox, and tell the old one. Raises InvalidCredentials when the password has
    just changed: what came with the old one is void."""
    user = proof.user
    if not (
        User.objects.active()
        .filter(pk=user.pk, password=proof.password_hash)
        .update(pending_email=address)
    ):
        raise InvalidCredentials
    _drop_confirmations(user.pk)
    mails.post(Letter.CONFIRM_EMAIL, address=address, user=user)
    mails.post(Letter.EMAIL_CHANGE_ASKED, address=user.email, user=user)


def confirm_email(*, uid: str, token: str) -> User:
    """The new mailbox answered: its address is the person's from now on. Raises TokenInvalid,
    Conflict."""
    link = recovery.find_link(MailLink.Purpose.CONFIRM_EMAIL, uid=uid, token=token)
    with write_transaction():
        # The person's row first, as everyone does who ends links. One that was asked for again,
        # or is no longer wanted, confirms nothing, however it outlived that.
        user = (
            User.objects.active()
            .select_for_update()
            .filter(pk=link.user_id, pending_email=link.address)
            .first()
        )
        if user is None:
            raise TokenInvalid
        recovery.spend(link)
        people.store_email(user, link.address, verified_at=timezone.now(), actor=user)
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
    erase(caller.user, actor=caller.user)


def erase(user: User, *, actor: User | None) -> None:
    """Remove a person and all that is personal, in every app, or nothing at all.

    Of the audit trail only the names go: an id that is nobody's stays. Raises Conflict for the
    last administrator, PermissionDenied where the actor is neither the person nor above them.
    """
    user_id = user.pk
    is_self = actor is not None and actor.pk == user_id
    with write_transaction():
        user = people.held(user, actor=None if is_self else actor, action="delete")
        people.check_not_last_administrator(user)
        user_erasing.send(User, user=user)
        audit.record(AuditAction.USER_ERASED, actor=actor, target=audit.person(user))
        mails.forget(user.email)
        user.delete()
        audit.forget_person(user_id)


def _drop_confirmations(user_id: UUID) -> None:
    MailLink.objects.filter(user_id=user_id, purpose=MailLink.Purpose.CONFIRM_EMAIL).delete()
