"""Holds, the ledger and its counters, for operators. Nothing here is ever changed by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from common.admin import ReadOnlyAdmin
from quotas.admin.named import NamedAdmin, OfSubjects, charged
from quotas.admin.report import UsageReport
from quotas.admin.words import (
    OUTCOMES,
    PURPOSES,
    NowFilter,
    OutcomeFilter,
    PurposeFilter,
    money,
    shown,
)
from quotas.models import Hold, UsageRecord, Window
from quotas.services.limits import amounts_of

_PER_MILLION = _("Per 1,000,000 tokens, as it was at that time.")


class Charged(NamedAdmin, ReadOnlyAdmin):
    """Rows that say who pays."""

    def subjects(self, row: Any) -> Iterable[tuple[str, str]]:
        return charged(row)

    @admin.display(description=_("cost"))
    def money(self, row: Hold | UsageRecord) -> str:
        return money(row.cost)


@admin.register(Hold)
class HoldAdmin(Charged):
    list_display = ("turn_id", "person", "status", "tokens", "money", "created_at", "settled_at")
    list_filter = ("status",)
    search_fields = ("status__exact",)
    search_help_text = _("The id of a hold or of a turn")
    id_fields = ("id", "turn_id")
    ordering = ("-id",)
    fields = (
        "id",
        "turn_id",
        "person",
        "api_key",
        "status",
        "tokens",
        "money",
        "created_at",
        "settled_at",
    )
    readonly_fields = ("person", "api_key", "money")

    help_texts = {
        "turn_id": _("The turn it was set aside for."),
        "person": _("Who asked; empty for what the deployment did by itself."),
        "api_key": _("The API key that it was asked with, if any."),
        "status": _("Held while the turn runs, settled once at its end."),
        "tokens": _("What was set aside."),
        "money": _("The same as money, by the prices of that time."),
        "created_at": _("When the turn began."),
        "settled_at": _("When it was settled; empty while it is held."),
    }


@admin.register(UsageRecord)
class UsageRecordAdmin(UsageReport, Charged):
    list_display = (
        "started_at",
        "person",
        "why",
        "model",
        "ended",
        "prompt_tokens",
        "completion_tokens",
        "money",
        "api_key",
    )
    list_filter = (OutcomeFilter, PurposeFilter, "estimated")
    search_fields = ("model__istartswith", "answered_by__istartswith")
    search_help_text = _("How the model's name begins, or an id")
    id_fields = ("id", "turn_id", "user_id", "key_id")
    ordering = ("-id",)
    actions_list = ("report",)
    fields = (
        "id",
        "turn_id",
        "person",
        "user_id",
        "api_key",
        "roles",
        "inbox_id",
        "attribution",
        "why",
        "model",
        "answered_by",
        "ended",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "estimated",
        "price_in",
        "price_out",
        "price_cached",
        "money",
        "started_at",
        "seconds",
        "first_token_seconds",
    )

    help_texts = {
        "turn_id": _("The turn that used it."),
        "person": _("Who asked; the id where that person was erased."),
        "user_id": _("Their id; stays when that person is erased."),
        "api_key": _("The API key that it was asked with, if any."),
        "roles": _("The roles that the person had."),
        "inbox_id": _("The inbox that it was asked for, if any."),
        "attribution": _("Whom the client of the API asked for, in its own words."),
        "why": _("Why the model was asked."),
        "model": _("The model that was asked for."),
        "answered_by": _("The model that answered: the same one, or a fallback."),
        "ended": _("How the turn ended."),
        "prompt_tokens": _("What was sent to the model."),
        "completion_tokens": _("What the model wrote."),
        "cached_tokens": _("How much of what was sent the provider had in its cache."),
        "reasoning_tokens": _("How much of what it wrote was thinking."),
        "estimated": _("Counted by us: the provider sent no count, or an absurd one."),
        "price_in": _PER_MILLION,
        "price_out": _PER_MILLION,
        "price_cached": _PER_MILLION,
        "money": _("What it cost."),
        "started_at": _("When the turn began: it belongs to the limits of that time."),
        "seconds": _("How long the turn took."),
        "first_token_seconds": _("How long its first token took."),
    }

    @admin.display(description=_("purpose"))
    def why(self, record: UsageRecord) -> str:
        return str(PURPOSES.get(record.purpose, record.purpose))

    @admin.display(description=_("outcome"))
    def ended(self, record: UsageRecord) -> str:
        return str(OUTCOMES.get(record.outcome, record.outcome))

    @admin.display(description=_("input price"))
    def price_in(self, record: UsageRecord) -> str:
        return money(record.input_price)

    @admin.display(description=_("output price"))
    def price_out(self, record: UsageRecord) -> str:
        return money(record.output_price)

    @admin.display(description=_("cached input price"))
    def price_cached(self, record: UsageRecord) -> str:
        return money(record.cached_price)

    @action(  # type: ignore[untyped-decorator]
        description=_("Usage report"), url_path="report", permissions=["view"]
    )
    def report(self, request: HttpRequest) -> HttpResponse:
        return self.usage_report(request, back=reverse("admin:quotas_usagerecord_changelist"))


_ALLOWED = "_allowed_now"


@admin.register(Window)
class WindowAdmin(OfSubjects, ReadOnlyAdmin):
    """Counters; the limit beside them is read where the next turn will read it."""

    list_display = (
        "whose",
        "kind",
        "metric",
        "period",
        "is_used",
        "is_held",
        "limit",
        "share",
        "start",
        "ends_at",
    )
    list_filter = (NowFilter, "kind", "metric", "period")
    ordering = ("-id",)
    fields = (
        "whose",
        "kind",
        "metric",
        "period",
        "start",
        "ends_at",
        "is_used",
        "is_held",
        "limit",
        "share",
    )
    help_texts = {
        "whose": _("Whom or what is counted."),
        "kind": _("A person, a role's pool, an API key, or everybody together."),
        "metric": _("What is counted."),
        "period": _("By the clock of the deployment; a total never begins anew."),
        "start": _("Turns that began since then count."),
        "ends_at": _("When the next window begins; empty: never."),
        "is_used": _("By turns that have ended."),
        "is_held": _("Set aside for turns that run now."),
        "limit": _("As it is now, with what is granted on top; empty where there is none now."),
        "share": _("How much of the limit is used."),
    }

    def prepare(self, rows: list[Any]) -> None:
        super().prepare(rows)
        now = timezone.now()
        current = [row for row in rows if row.ends_at is None or row.ends_at > now]
        allowed = amounts_of({(row.kind, row.subject_id) for row in current}, at=now)
        for row in current:
            key = (row.kind, row.subject_id, row.metric, row.period)
            setattr(row, _ALLOWED, allowed.get(key))

    @admin.display(description=_("used"))
    def is_used(self, window: Window) -> str:
        return shown(window.metric, window.used)

    @admin.display(description=_("held"))
    def is_held(self, window: Window) -> str:
        return shown(window.metric, window.held)

    @admin.display(description=_("limit"), empty_value="—")
    def limit(self, window: Window) -> str | None:
        allowed = getattr(window, _ALLOWED, None)
        return None if allowed is None else shown(window.metric, allowed)

    @admin.display(description=_("used of it"), empty_value="—")
    def share(self, window: Window) -> str | None:
        allowed = getattr(window, _ALLOWED, None)
        return f"{window.used / allowed:.0%}" if allowed else None
