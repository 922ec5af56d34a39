"""Letters that wait to be sent, and the links in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Record

if TYPE_CHECKING:
    from datetime import datetime


class Letter(models.TextChoices):
    RESET = "reset", _("Set a new password")
    CONFIRM_EMAIL = "confirm_email", _("Confirm an address")
    EMAIL_CHANGE_ASKED = "email_change_asked", _("An address is about to change")
    EMAIL_CHANGED = "email_changed", _("An address has changed")
    NOTICE = "notice", _("Something a person wants to be told of")


class OutgoingMailQuerySet(models.QuerySet["OutgoingMail"]):
    def due(self, now: datetime) -> OutgoingMailQuerySet:
        return self.filter(due_at__lte=now)


class OutgoingMail(Record):
    """A letter on its way; the row goes when it is sent.

    A reset is noted before anyone looks whether the address belongs to somebody, so that known
    and unknown addresses cost the caller the same (S14). No secret lies here: the link is made
    while the letter is written.
    """

    letter = models.CharField(_("letter"), max_length=32, choices=Letter)
    # Null for a reset, whose addressee is found when it is sent.
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, related_name="+", verbose_name=_("user")
    )
    address = models.CharField(_("address"), max_length=254)
    language = models.CharField(_("language"), max_length=10, blank=True)
    # Of a notice, which a higher app has written; the others are written when they are sent.
    subject = models.CharField(_("subject"), max_length=200, blank=True, default="", db_default="")
    body = models.TextField(_("text"), blank=True, default="", db_default="")
    due_at = models.DateTimeField(_("due at"), default=timezone.now, db_index=True)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)

    objects = OutgoingMailQuerySet.as_manager()

    class Meta:
        verbose_name = _("outgoing mail")
        verbose_name_plural = _("outgoing mails")

    def __str__(self) -> str:
        return f"{self.letter} {self.id}"


class MailLink(Record):
    """The right to act once for a person, held by whoever can read a mailbox.

    Only a digest of the token is kept.
    """

    class Purpose(models.TextChoices):
        RESET = "reset", _("Set a new password")
        CONFIRM_EMAIL = "confirm_email", _("Confirm an address")

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="mail_links", verbose_name=_("user")
    )
    purpose = models.CharField(_("purpose"), max_length=32, choices=Purpose)
    digest = models.CharField(max_length=64, unique=True)
    address = models.CharField(_("address"), max_length=254)
    expires_at = models.DateTimeField(_("expires at"), db_index=True)

    class Meta:
        verbose_name = _("mailed link")
        verbose_name_plural = _("mailed links")

    def __str__(self) -> str:
        return f"{self.purpose} {self.id}"
