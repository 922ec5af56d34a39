"""What a turn may use while it runs, and what it has used."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.models import Record


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose limits a turn counts against: all of these, the person's roles and the deployment.

    Without any of them it is the deployment's alone. `attribution` is whatever an API client says
    of the end user on whose behalf it asks; it is recorded and has no limits.
    """

    user_id: UUID | None = None
    key_id: UUID | None = None
    inbox_id: UUID | None = None
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a turn holds or has used, by metric; cost in billionths of the currency unit."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0

    def of(self, metric: str) -> int:
        return int(getattr(self, metric))


class Charged(Record):
    """Who pays. No foreign keys: a bill outlives whom it names. `group_ids` are those of the
    person's roles at that time, each between commas (`,1,4,`)."""

    user_id = models.UUIDField(_("user"), null=True, blank=True)
    key_id = models.UUIDField(_("API key"), null=True, blank=True)
    inbox_id = models.UUIDField(_("inbox"), null=True, blank=True)
    group_ids = models.CharField(
        _("roles"), max_length=1_000, blank=True, default="", db_default=""
    )
    attribution = models.CharField(
        _("attributed to"), max_length=256, blank=True, default="", db_default=""
    )

    class Meta:
        abstract = True


class Hold(Charged):
    """Room set aside for one turn until it is settled.

    `turn_id` is no foreign key: quotas stands below chat. Tokens are the prompt and the most the
    answer is expected to take; cost is in billionths of the currency unit. `windows` are those it
    was counted in, each with the limit of that time: `[id, limit]`.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        SETTLED = "settled", _("Settled")

    turn_id = models.UUIDField(_("turn"), unique=True, editable=False)
    started_at = models.DateTimeField(_("started at"), default=timezone.now, db_default=Now())
    windows = models.JSONField(_("windows"), default=list, db_default=[], blank=True)
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

    @property
    def amounts(self) -> Consumption:
        return Consumption(1, self.tokens, self.cost)


class UsageRecord(Charged):
    """One turn in the ledger: what ran, for whom, what it used. Rows are added, never changed.

    Prices are frozen on the row: billionths of the currency unit per 1,000,000 tokens; `cost` is
    in billionths of the currency unit. `started_at` decides the windows that the use belongs to.
    """

    turn_id = models.UUIDField(_("turn"), unique=True, editable=False)
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
        indexes = [
            # What a subject used in a time: late windows, reports, statistics of a person.
            models.Index(fields=["user_id", "started_at"], name="usage_by_user"),
            models.Index(
                fields=["key_id", "started_at"],
                condition=models.Q(key_id__isnull=False),
                name="usage_by_key",
            ),
            models.Index(
                fields=["inbox_id", "started_at"],
                condition=models.Q(inbox_id__isnull=False),
                name="usage_by_inbox",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.turn_id} {self.model}"
