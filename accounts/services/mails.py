"""Letters: noted in the caller's transaction, sent by a task after it (T6, T7, F21)."""

from __future__ import annotations

import logging
import secrets
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, QuerySet
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from accounts.models import Letter, MailLink, OutgoingMail, User
from accounts.names import fold
from accounts.signals import mail_waiting
from common.db import write_transaction
from common.digests import digest
from common.languages import speak

logger = logging.getLogger(__name__)

_PATHS = {
    MailLink.Purpose.RESET: "/reset-password",
    MailLink.Purpose.CONFIRM_EMAIL: "/confirm-email",
}


def post(letter: Letter, *, address: str, user: User | None = None) -> None:
    """Note a letter; it leaves after commit, or when the sweeper next looks."""
    mail = OutgoingMail(
        letter=letter,
        user=user,
        address=address,
        language=(user.language if user else "") or get_language() or "",
    )
    _note(mail)


def post_notice(user: User, *, subject: str, body: str) -> None:
    """The same, for what a higher app has written in the person's language."""
    _note(
        OutgoingMail(
            letter=Letter.NOTICE,
            user=user,
            address=user.email,
            language=user.language,
            subject=one_line(subject),
            body=body,
        )
    )


def _note(mail: OutgoingMail) -> None:
    with write_transaction():
        mail.save(force_insert=True)
        transaction.on_commit(lambda: mail_waiting.send_robust(OutgoingMail, mail_id=mail.pk))


def forget(address: str) -> None:
    """Drop the letters that nobody's row takes along: a reset names an address alone (G4)."""
    key = fold(address)
    unclaimed = OutgoingMail.objects.filter(user=None).values_list("pk", "address")
    theirs = [pk for pk, written in unclaimed.iterator() if fold(written) == key]
    OutgoingMail.objects.filter(pk__in=theirs).delete()


def waiting() -> list[UUID]:
    """Letters whose time has come."""
    return list(OutgoingMail.objects.due(timezone.now()).values_list("pk", flat=True)[:1_000])


def deliver(mail_id: UUID) -> bool:
    """Send one letter; False when it is gone, not due, or taken by another worker.

    A process that dies between sending and removing the row sends the letter twice. One whose
    mail server refuses tries again, each time after twice as long.
    """
    mail = _claim(mail_id, now=timezone.now())
    if mail is None:
        return False
    with override(mail.language or settings.LANGUAGE_CODE):
        message = _write(mail)
    if message is not None:
        try:
            message.send()
        except OSError as error:  # smtplib's errors are among them, and quote the address
            given_up = mail.attempts >= settings.MAIL_ATTEMPTS
            logger.log(
                logging.ERROR if given_up else logging.WARNING,
                "The letter %s %s was not taken (%s), try %d of %d%s. See to the mail server of "
                "EMAIL_URL.",
                *(mail.letter, mail.pk, type(error).__name__),
                *(mail.attempts, settings.MAIL_ATTEMPTS),
                ": it is dropped" if given_up else "; it is sent again later",
            )
            if not given_up:
                return False
    OutgoingMail.objects.filter(pk=mail.pk).delete()
    return message is not None


def outlived_links() -> QuerySet[MailLink]:
    """Links that have run out."""
    return MailLink.objects.filter(expires_at__lt=timezone.now())


def _claim(mail_id: UUID, *, now: datetime) -> OutgoingMail | None:
    mail = OutgoingMail.objects.due(now).select_related("user").filter(pk=mail_id).first()
    if mail is None:
        return None
    wait = timedelta(seconds=settings.MAIL_RETRY_SECONDS * 2**mail.attempts)
    with write_transaction():
        mine = OutgoingMail.objects.filter(pk=mail_id, attempts=mail.attempts).update(
            attempts=F("attempts") + 1, due_at=now + wait
        )
    mail.attempts += 1
    return mail if mine else None


def _write(mail: OutgoingMail) -> EmailMessage | None:
    """The letter as it goes out, or None when there is nobody (any more) to send it to."""
    match mail.letter:
        case Letter.RESET:
            user = User.objects.active().filter(email_key=fold(mail.address)).first()
            if user is None:
                return None
            speak(user.language)
            # To the address on record: what was typed may fold to it and lie elsewhere (S12).
            link = _link(user, MailLink.Purpose.RESET, address=user.email)
            subject = _("Set a new password for Parley")
            return _message(mail, user, subject, address=user.email, link=link)
        case Letter.CONFIRM_EMAIL:
            user = mail.user
            if user is None or user.pending_email != mail.address:
                return None
            link = _link(user, MailLink.Purpose.CONFIRM_EMAIL, address=mail.address)
            return _message(mail, user, _("Confirm your new e-mail address"), link=link)
        case Letter.NOTICE:
            # Not to an address that is theirs no longer.
            theirs = mail.user if mail.user and mail.user.email == mail.address else None
            return EmailMessage(mail.subject, mail.body, to=[theirs.email]) if theirs else None
        case Letter.EMAIL_CHANGE_ASKED:
            subject = _("Your e-mail address at Parley is about to change")
        case _:
            subject = _("Your e-mail address at Parley has changed")
    return _message(mail, mail.user, subject) if mail.user else None


def _link(user: User, purpose: MailLink.Purpose, *, address: str) -> str:
    seconds = (
        settings.PASSWORD_RESET_TIMEOUT
        if purpose == MailLink.Purpose.RESET
        else settings.EMAIL_CONFIRM_SECONDS
    )
    token = secrets.token_urlsafe(32)
    MailLink.objects.create(
        user=user,
        purpose=purpose,
        digest=digest(token),
        address=address,
        expires_at=timezone.now() + timedelta(seconds=seconds),
    )
    # Never from the request: its Host is whatever the caller wrote (S13).
    return f"{settings.PUBLIC_URL}{_PATHS[purpose]}?{urlencode({'uid': user.pk, 'token': token})}"


def _message(
    mail: OutgoingMail, user: User, subject: str, *, address: str = "", **context: Any
) -> EmailMessage:
    context |= {
        "name": one_line(user.name),
        "site": settings.PUBLIC_URL,
        "minutes": settings.PASSWORD_RESET_TIMEOUT // 60,
        "hours": settings.EMAIL_CONFIRM_SECONDS // 3_600,
    }
    body = render_to_string(f"accounts/mail/{mail.letter}.txt", context)
    return EmailMessage(one_line(subject), body, to=[address or mail.address])


def one_line(text: str) -> str:
    """`text` without line breaks, which in a header would begin another one."""
    return " ".join(text.split())
