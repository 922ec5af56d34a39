"""Counters: what was used, and is held, in one window of one limit."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from common.models import Record
from quotas.models.limits import Kind, Metric, Period


class Window(Record):
    """What a subject has used of a metric since `start`, until `ends_at` (null: without end).

    A copy of the ledger that can be raised in one statement: `used` is the sum of the subject's
    usage records that started within it, `held` that of the open holds that were counted in it.
    Amounts as those of limits. There is a row only where a limit was asked for in that window; the
    limit itself is not here.
    """

    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    subject_id = models.CharField(_("id"), max_length=40, blank=True)
    metric = models.CharField(_("metric"), max_length=8, choices=Metric.choices)
    period = models.CharField(_("period"), max_length=8, choices=Period.choices)
    start = models.DateTimeField(_("start"))
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True, db_index=True)
    used = models.BigIntegerField(_("used"), default=0)
    held = models.BigIntegerField(_("held"), default=0)

    class Meta:
        verbose_name = _("window")
        verbose_name_plural = _("windows")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_id", "start", "metric", "period"], name="one_window_each"
            ),
            models.CheckConstraint(
                condition=models.Q(used__gte=0, held__gte=0), name="window_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return (
            f"{self.get_kind_display()}: {self.get_metric_display()} / {self.get_period_display()}"
        )
