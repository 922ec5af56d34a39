"""Conversations and turns, for operators: who, when, how much; never what was said."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from chat.models import Conversation, IdempotencyRecord, Message, Turn
from chat.services.stopping import stop_turn
from common.admin import ReadOnlyAdmin
from common.money import as_decimal


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("id", "owner", "model", "message_count", "tokens", "money", "updated_at")
    list_filter = ("archived",)
    list_select_related = ("owner",)
    search_fields = ("owner__username__istartswith", "owner__email__istartswith")
    id_fields = ("id", "owner_id")
    ordering = ("-id",)
    fields = (
        "id",
        "owner",
        "title_source",
        "model",
        "parameters",
        "archived",
        "pinned",
        "message_count",
        "tokens",
        "money",
        "created_at",
        "updated_at",
    )

    @admin.display(description=_("cost"))
    def money(self, conversation: Conversation) -> str:
        return as_decimal(conversation.cost)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "conversation_id",
        "role",
        "status",
        "model",
        "rating",
        "error_code",
        "created_at",
    )
    list_filter = ("role", "status", "rating")
    search_fields = ("model__istartswith",)
    id_fields = ("id", "conversation_id")
    ordering = ("-id",)
    fields = (
        "id",
        "conversation_id",
        "parent_id",
        "role",
        "status",
        "model",
        "fallback",
        "prompt_tokens",
        "completion_tokens",
        "money",
        "usage_estimated",
        "seconds",
        "error_code",
        "position",
        "ended_position",
        "created_at",
        "edited_at",
        "rating",
        "comment",
    )

    @admin.display(description=_("cost"))
    def money(self, message: Message) -> str:
        return "" if message.cost is None else as_decimal(message.cost)


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "purpose", "status", "model", "error_code", "created_at")
    list_filter = ("status", "purpose")
    list_select_related = ("user",)
    search_fields = ("user__username__istartswith", "model__istartswith")
    id_fields = ("id", "conversation_id", "message_id", "user_id")
    ordering = ("-id",)
    fields = (
        "id",
        "user",
        "conversation_id",
        "message_id",
        "purpose",
        "status",
        "model",
        "owner",
        "beat",
        "last_seq",
        "prompt_estimate",
        "stop_requested_at",
        "stop_reason",
        "error_code",
        "created_at",
        "ended_at",
    )
    actions = ("stop",)

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_turn")

    @admin.action(description=_("Stop the selected turns"), permissions=["stop"])
    def stop(self, request: HttpRequest, turns: QuerySet[Turn]) -> None:
        running = list(turns.filter(status=Turn.Status.RUNNING))
        for turn in running:
            stop_turn(turn, reason=Turn.StopReason.PERSON)
        told = ngettext(
            "%(count)d turn was asked to stop.", "%(count)d turns were asked to stop.", len(running)
        )
        messages.info(request, told % {"count": len(running)})


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """The kept answer is not shown: it is what was said."""

    list_display = ("id", "sender", "operation", "turn_id", "created_at")
    search_fields = ("sender__istartswith",)
    id_fields = ("id", "turn_id")
    ordering = ("-id",)
    fields = ("id", "sender", "operation", "turn_id", "created_at")
