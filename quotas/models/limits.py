"""What may be used: plans for people, limits of one's own, and what is granted on top for a time.

Amounts are whole numbers: requests, tokens, or, for cost, billionths of the currency unit.
"""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.models import Record

# Sums of several still fit into a column of 64 bits.
AMOUNT_AT_MOST = 10**17
REASON_CHARACTERS = 200


class Kind(models.TextChoices):
    """Whom or what a limit applies to; the order in which windows are taken, the busiest last."""

    USER = "user", _("Person")
    KEY = "key", _("API key")
    INBOX = "inbox", _("Inbox")
    GROUP = "group", _("Role")
    DEPLOYMENT = "deployment", _("Deployment")


class Metric(models.TextChoices):
    REQUESTS = "requests", _("Requests")
    TOKENS = "tokens", _("Tokens")
    COST = "cost", _("Cost")


class Period(models.TextChoices):
    """How long a window lasts, by the clock in the deployment's time zone."""

    MINUTE = "minute", _("Minute")
    DAY = "day", _("Day")
    MONTH = "month", _("Month")
    TOTAL = "total", _("Total")


class AbstractLimit(Record):
    """So much of a metric in a period."""

    metric = models.CharField(_("metric"), max_length=8, choices=Metric.choices)
    period = models.CharField(_("period"), max_length=8, choices=Period.choices)
    amount = models.PositiveBigIntegerField(
        _("amount"), validators=[MaxValueValidator(AMOUNT_AT_MOST)]
    )

    class Meta:
        abstract = True


class Plan(Record):
    """Limits that a person has, each for themselves. One without limits is without end.

    A person's own plan counts, else those of their roles, else the default one.
    """

    name = models.CharField(_("name"), max_length=80, unique=True)
    is_default = models.BooleanField(_("default"), default=False)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="one_default_plan"
            )
        ]

    def __str__(self) -> str:
        return self.name


class PlanLimit(AbstractLimit):
    """A limit of a plan: each person who has the plan has it for themselves."""

    plan = models.ForeignKey(
        Plan, on_delete=models.CASCADE, related_name="limits", verbose_name=_("plan")
    )

    class Meta:
        verbose_name = _("limit of a plan")
        verbose_name_plural = _("limits of plans")
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "metric", "period"], name="one_limit_of_a_plan_each"
            )
        ]

    def __str__(self) -> str:
        return f"{self.metric}/{self.period}"


class PlanAssignment(Record):
    """The plan of a person, or of everybody with a role (`kind` group)."""

    kind = models.CharField(
        _("kind"), max_length=12, choices=[(Kind.USER, Kind.USER.label), (Kind.GROUP, _("Role"))]
    )
    subject_id = models.CharField(_("id"), max_length=40)
    plan = models.ForeignKey(
        Plan, on_delete=models.CASCADE, related_name="assignments", verbose_name=_("plan")
    )

    class Meta:
        verbose_name = _("plan of a person or role")
        verbose_name_plural = _("plans of people and roles")
        constraints = [models.UniqueConstraint(fields=["kind", "subject_id"], name="one_plan_each")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.plan}"


class SubjectLimit(AbstractLimit):
    """A limit of one subject's own. A person's goes before their plan's of the same metric and
    period; a role's is a pool that all who have the role share.
    """

    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    subject_id = models.CharField(_("id"), max_length=40, blank=True)

    class Meta:
        verbose_name = _("limit")
        verbose_name_plural = _("limits")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_id", "metric", "period"], name="one_limit_each"
            )
        ]

    def __str__(self) -> str:
        return (
            f"{self.get_kind_display()}: {self.get_metric_display()} / {self.get_period_display()}"
        )


class Boost(Record):
    """What a subject may use on top of its limits while it lasts.

    It raises every limit of its metric and period that the subject has; without a period those of
    day, month and total. It makes no limit where there is none.
    """

    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    subject_id = models.CharField(_("id"), max_length=40, blank=True)
    metric = models.CharField(_("metric"), max_length=8, choices=Metric.choices)
    period = models.CharField(_("period"), max_length=8, choices=Period.choices, blank=True)
    amount = models.PositiveBigIntegerField(
        _("amount"), validators=[MaxValueValidator(AMOUNT_AT_MOST)]
    )
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=REASON_CHARACTERS, blank=True)

    class Meta:
        verbose_name = _("boost")
        verbose_name_plural = _("boosts")
        indexes = [models.Index(fields=["kind", "subject_id"], name="boosts_of_a_subject")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_metric_display()}"
