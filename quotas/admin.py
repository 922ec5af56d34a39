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
    search_help_text = _("The id of a hold or of a turn")
    id_fields = ("id", "turn_id")
    ordering = ("-id",)
    fields = (
        "id",
        "turn_id",
        "user_id",
        "key_id",
        "status",
        "tokens",
        "money",
        "created_at",
        "settled_at",
    )

    help_texts = {
        "turn_id": _("The turn it was set aside for."),
        "user_id": _("Who asked; empty for what the deployment did by itself."),
        "key_id": _("The API key that it was asked with, if any."),
        "status": _("Held while the turn runs, settled once at its end."),
        "tokens": _("What was set aside."),
        "money": _("The same as money, by the prices of that time."),
        "created_at": _("When the turn began."),
        "settled_at": _("When it was settled; empty while it is held."),
    }

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
    search_help_text = _("How the model's name begins, or an id")
    id_fields = ("id", "turn_id", "user_id")
    ordering = ("-id",)
    fields = (
        "id",
        "turn_id",
        "user_id",
        "key_id",
        "inbox_id",
        "group_ids",
        "attribution",
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

    help_texts = {
        "turn_id": _("The turn that used it."),
        "user_id": _("Who asked; stays when that person is erased."),
        "key_id": _("The API key that it was asked with, if any."),
        "inbox_id": _("The inbox that it was asked for, if any."),
        "group_ids": _("The roles that the person had."),
        "attribution": _("Whom the client of the API asked for, in its own words."),
        "purpose": _("Why the model was asked."),
        "model": _("The model that was asked for."),
        "answered_by": _("The model that answered: the same one, or a fallback."),
        "outcome": _("How the turn ended."),
        "prompt_tokens": _("What was sent to the model."),
        "completion_tokens": _("What the model wrote."),
        "cached_tokens": _("How much of what was sent the provider had in its cache."),
        "reasoning_tokens": _("How much of what it wrote was thinking."),
        "estimated": _("Counted by us: the provider sent no count, or an absurd one."),
        "input_price": _("Billionths per 1,000,000 tokens, as it was at that time."),
        "output_price": _("Billionths per 1,000,000 tokens, as it was at that time."),
        "money": _("What it cost."),
        "started_at": _("When the turn began: it belongs to the limits of that time."),
        "seconds": _("How long the turn took."),
        "first_token_seconds": _("How long its first token took."),
    }

    @admin.display(description=_("cost"))
    def money(self, record: UsageRecord) -> str:
        return as_decimal(record.cost)
