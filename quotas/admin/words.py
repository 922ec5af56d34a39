"""How amounts and the ledger's words are shown to people."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.money import as_decimal
from quotas.models import Metric

# The ledger stands below those who write it: their words come as texts.
PURPOSES = {
    "message": _("Message"),
    "chat": _("Stateless chat"),
    "v1": _("OpenAI-compatible API"),
    "title": _("Title"),
    "summary": _("Summary"),
}
OUTCOMES = {
    "complete": _("Complete"),
    "stopped": _("Stopped"),
    "interrupted": _("Interrupted"),
    "failed": _("Failed"),
}


def shown(metric: str, amount: int) -> str:
    """`12.50` for money, `1,000,000` for all else."""
    return money(amount) if metric == Metric.COST else f"{amount:,}"


def money(billionths: int) -> str:
    """Two places, and more only where they say something."""
    whole, _point, places = as_decimal(billionths).partition(".")
    return f"{int(whole):,}.{places.rstrip('0'):0<2}"


class NowFilter(admin.SimpleListFilter):
    """Of what ends some time: what counts now, or what is over."""

    title = _("time")
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [("now", _("Now")), ("past", _("Past"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        if self.value() == "now":
            return queryset.filter(Q(ends_at=None) | Q(ends_at__gt=now))
        return queryset.filter(ends_at__lte=now) if self.value() == "past" else queryset


class WordFilter(admin.SimpleListFilter):
    """A column of known words; Django would read the whole table to find them."""

    words: dict[str, Any]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return list(self.words.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(**{str(self.parameter_name): chosen}) if chosen else queryset


class PurposeFilter(WordFilter):
    title = _("purpose")
    parameter_name = "purpose"
    words = PURPOSES


class OutcomeFilter(WordFilter):
    title = _("outcome")
    parameter_name = "outcome"
    words = OUTCOMES
