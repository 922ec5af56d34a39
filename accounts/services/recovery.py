"""Back in without the password: a mailed link, good once."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from accounts.errors import TokenInvalid
from accounts.models import AuditAction, Letter, MailLink, User
from accounts.names import fold
from accounts.services import audit, mails, passwords, sign_ins
from common import rates
from common.addresses import address_key
from common.db import write_transaction
from common.digests import digest
from common.errors import RateLimited


def forgot_password(email: str, *, address: str) -> None:
    """Send a link, if `email` is somebody's. The caller learns nothing, not even by the clock.

    Who it is, if anyone, is looked up by the task that sends. Over a limit nothing is sent, and
    that is not told either (S14).
    """
    try:
        rates.hit("forgot_password_address", address_key(address))
        rates.hit("forgot_password_email", digest(fold(email)))
    except RateLimited:
        return
    mails.post(Letter.RESET, address=email)


def find_link(purpose: MailLink.Purpose, *, uid: str, token: str) -> MailLink:
    """The link that these belong to, with its person; raises TokenInvalid. Spends nothing."""
    try:
        user_id = UUID(uid)
    except ValueError as error:
        raise TokenInvalid from error
    link = (
        MailLink.objects.select_related("user")
        .filter(
            purpose=purpose,
            digest=digest(token),
            user_id=user_id,
            user__is_active=True,
            expires_at__gt=timezone.now(),
        )
        .first()
    )
    if link is None:
        raise TokenInvalid
    return link


def spend(link: MailLink) -> None:
    """Use the link up, inside the transaction that does what it allows; raises TokenInvalid."""
    if not MailLink.objects.filter(pk=link.pk).delete()[0]:
        raise TokenInvalid


def reset_password(*, uid: str, token: str, password: str) -> User:
    """Set a new password and sign every device out. Raises TokenInvalid, Invalid."""
    passwords.check_length(password)
    link = find_link(MailLink.Purpose.RESET, uid=uid, token=token)
    user = link.user
    passwords.check_new(password, user=user)
    encoded = passwords.hash_password(password)
    with write_transaction():
        # The person's row first, as everyone does who ends sign-ins.
        if not User.objects.active().filter(pk=user.pk).update(password=encoded):
            raise TokenInvalid
        spend(link)
        # Whoever followed the link reads that mailbox.
        User.objects.filter(pk=user.pk, email=link.address, email_verified_at=None).update(
            email_verified_at=timezone.now()
        )
        forget_links(user.pk)
        sign_ins.revoke(user.pk)
        audit.record(AuditAction.PASSWORD_RESET, actor=user, target=audit.person(user))
    return user


def forget_links(user_id: UUID) -> None:
    """Mailed links die with what they were to save, and a wish for another address too (S14).

    Whoever once had the password may have asked for a link to a mailbox of their own.
    """
    User.objects.filter(pk=user_id).update(pending_email="")
    MailLink.objects.filter(user_id=user_id).delete()
