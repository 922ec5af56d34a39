"""What a turn may use while it runs, and what it has used."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext_lazy as _

from common.models import Record


@dataclass(frozen=True, slots=True)
class Subject:
    """Someone or something that limits apply to: `deployment`, `user`, `group`, `key`, `inbox`."""

    kind: str
    id: str = ""


class Hold(Record):
    """Room set aside for one turn until it is settled.

    `turn_id` is no foreign key: quotas stands below chat. Tokens are the prompt and the most the
    answer is expected to take; cost is in billionths of the currency unit.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        SETTLED = "settled", _("Settled")

    turn_id = models.UUIDField(_("turn"), unique=True, editable=False)
    subjects = models.JSONField(_("subjects"), default=list)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.OPEN
    )
    tokens = models.PositiveBigIntegerField(_("tokens"))
    cost = models.PositiveBigIntegerField(_("cost"))
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        indexes = [
            # The sweep of what was never settled.
            models.Index(
                fields=["created_at"], condition=models.Q(status="open"), name="open_holds"
            )
        ]

    def __str__(self) -> str:
        return f"{self.turn_id} {self.status}"


class UsageRecord(Record):
    """One turn in the ledger: what ran, for whom, what it used. Rows are added, never changed.

    Prices are frozen on the row: billionths of the currency unit per 1,000,000 tokens; `cost` is
    in billionths of the currency unit. `started_at` decides the windows that the use belongs to.
    """

    turn_id = models.UUIDField(_("turn"), unique=True, editable=False)
    user_id = models.UUIDField(_("user"), null=True, blank=True, db_index=True)
    subjects = models.JSONField(_("subjects"), default=list)
    purpose = models.CharField(_("purpose"), max_length=16)
    model = models.CharField(_("model asked for"), max_length=200)
    answered_by = models.CharField(_("model that answered"), max_length=200, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16)
    prompt_tokens = models.PositiveBigIntegerField(_("prompt tokens"))
    completion_tokens = models.PositiveBigIntegerField(_("completion tokens"))
    cached_tokens = models.PositiveBigIntegerField(_("cached prompt tokens"), default=0)
    reasoning_tokens = models.PositiveBigIntegerField(_("reasoning tokens"), default=0)
    estimated = models.BooleanField(_("estimated"), default=False)
    input_price = models.PositiveBigIntegerField(_("input price"), default=0)
    output_price = models.PositiveBigIntegerField(_("output price"), default=0)
    cached_price = models.PositiveBigIntegerField(_("cached input price"), default=0)
    cost = models.PositiveBigIntegerField(_("cost"), default=0)
    started_at = models.DateTimeField(_("started at"), db_index=True)
    seconds = models.FloatField(_("seconds"), default=0)
    first_token_seconds = models.FloatField(_("seconds to first token"), null=True, blank=True)

    class Meta:
        verbose_name = _("usage record")
        verbose_name_plural = _("usage records")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.turn_id} {self.model}"
