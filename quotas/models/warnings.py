"""What people were told of their limits."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from common.models import Record


class QuotaWarning(Record):
    """A turn of this person brought a window to `percent` of its limit.

    Processes find it here to tell the person's sockets, and the job that mails it. `limit` is what
    the wire says of the limit, as it was.
    """

    user_id = models.UUIDField(_("user"))
    window_id = models.UUIDField(_("window"))
    percent = models.PositiveSmallIntegerField(_("percent"))
    limit = models.JSONField(_("limit"))
    mailed = models.BooleanField(_("mailed"), default=False)

    class Meta:
        verbose_name = _("quota warning")
        verbose_name_plural = _("quota warnings")
        indexes = [
            models.Index(fields=["created_at"], name="quota_warnings_by_time"),
            models.Index(
                fields=["id"], condition=models.Q(mailed=False), name="quota_warnings_to_mail"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.percent} %"
