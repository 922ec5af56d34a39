"""A person's e-mail address: whether it is free, the wish for another one, and the change (S12)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.errors import InvalidCredentials, TokenInvalid
from accounts.models import AuditAction, Letter, MailLink, User
from accounts.names import clean_email, fold
from accounts.services import audit, mails, people, recovery
from accounts.services.authentication import Proof, confirm_password
from common import rates
from common.db import write_transaction
from common.errors import Conflict, Invalid


def free(email: str, *, user: User) -> str:
    """`email` as it is stored; raises Invalid when it is none, or somebody else's."""
    try:
        address = clean_email(email)
    except ValidationError as error:
        raise Invalid(error.messages[0], errors={"email": list(error.messages)}) from error
    if not _is_free(address, user=user):
        raise Invalid.field("email", _("This address belongs to an account already."))
    return address


def change(user: User, email: str, *, actor: User | None) -> User:
    """Set an address that nobody has confirmed. Raises PermissionDenied, NotFound, Invalid,
    Conflict."""
    with write_transaction():
        user = people.held(user, actor=actor)
        address = free(email, user=user)
        if address != user.email:
            _store(user, address, verified_at=None, actor=actor)
    return user


def prove_wish(user: User, *, password: str | None, address: str) -> Proof:
    """Whoever wants another address gives the password again, from the network `address`. Raises
    Invalid, RateLimited, and as `confirm_password` does."""
    if not password:
        raise Invalid.field("password", _("A new e-mail address needs your password."))
    proof = confirm_password(user, password=password, address=address)
    rates.hit("verify_email", str(user.pk))
    return proof


def await_confirmation(proof: Proof, address: str) -> None:
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


def forget_wish(user: User) -> None:
    """The present address stays."""
    User.objects.filter(pk=user.pk).update(pending_email="")
    _drop_confirmations(user.pk)


def confirm(*, uid: str, token: str) -> User:
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
        _store(user, link.address, verified_at=timezone.now(), actor=user)
    return user


def _store(user: User, address: str, *, verified_at: datetime | None, actor: User | None) -> None:
    """Store it, tell the old address, and end every mailed link.

    Raises Conflict when the address became somebody else's since it was looked up.
    """
    old = user.email
    try:
        with write_transaction():
            user.email, user.pending_email, user.email_verified_at = address, "", verified_at
            user.save(update_fields=["email", "email_verified_at"])
            recovery.forget_links(user.pk)
            mails.post(Letter.EMAIL_CHANGED, address=old, user=user)
            audit.record(AuditAction.USER_EMAIL, actor=actor, target=audit.person(user))
    except IntegrityError as error:
        if _is_free(address, user=user):
            raise
        raise Conflict(_("This address belongs to another account by now.")) from error


def _is_free(address: str, *, user: User) -> bool:
    return not User.objects.filter(email_key=fold(address)).exclude(pk=user.pk).exists()


def _drop_confirmations(user_id: UUID) -> None:
    MailLink.objects.filter(user_id=user_id, purpose=MailLink.Purpose.CONFIRM_EMAIL).delete()
