"""Holds and the ledger, for operators. Nothing here is ever changed by hand."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from common.admin import ReadOnlyAdmin
from common.money import as_decimal
from quotas.models import Hold, UsageRecord


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ("turn_id", "status", "tokens", "money", "created_at", "settled_at")
    list_filter = ("status",)
    search_fields = ("status__exact",)
    id_fields = ("id", "turn_id")
    ordering = ("-id",)
    fields = (
        "id",
        "turn_id",
        "subjects",
        "status",
        "tokens",
        "money",
        "created_at",
        "settled_at",
    )

    @admin.display(description=_("cost"))
    def money(self, hold: Hold) -> str:
        return as_decimal(hold.cost)


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = (
        "turn_id",
        "user_id",
        "purpose",
        "model",
        "outcome",
        "prompt_tokens",
        "completion_tokens",
        "money",
        "started_at",
    )
    list_filter = ("outcome", "purpose", "estimated")
    search_fields = ("model__istartswith", "answered_by__istartswith")
    id_fields = ("id", "turn_id", "user_id")
    ordering = ("-id",)
    fields = (
        "id",
        "turn_id",
        "user_id",
        "subjects",
        "purpose",
        "model",
        "answered_by",
        "outcome",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "estimated",
        "input_price",
        "output_price",
        "money",
        "started_at",
        "seconds",
        "first_token_seconds",
    )

    @admin.display(description=_("cost"))
    def money(self, record: UsageRecord) -> str:
        return as_decimal(record.cost)
