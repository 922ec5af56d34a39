"""Turns and idempotency records, for operators. What was said is in neither."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.admin.actors import actor_of
from chat.models import IdempotencyRecord, Turn
from chat.services.stopping import stop_for_owner
from common.admin import ReadOnlyAdmin


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "purpose", "status", "model", "error_code", "created_at")
    list_filter = ("status", "purpose")
    list_select_related = ("user",)
    search_fields = ("user__username__istartswith", "model__istartswith")
    search_help_text = _("How the person's or the model's name begins, or an id")
    id_fields = ("id", "conversation_id", "message_id", "user_id")
    ordering = ("-id",)
    fields = (
        "id",
        "user",
        "in_conversation",
        "writes",
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
    help_texts = {
        "user": _("Whose turn it is; empty once that person is erased."),
        "in_conversation": _("Empty for a stateless turn, and once the conversation is deleted."),
        "writes": _("The message that this turn writes."),
        "purpose": _("Why the model was asked."),
        "status": _("Running, or how it ended."),
        "model": _("The model that was asked for; a fallback may have answered."),
        "owner": _("The process that runs it."),
        "beat": _("Grows about once a second while that process is alive."),
        "last_seq": _("The number of the newest event that is stored."),
        "prompt_estimate": _("Our own count of what was sent to the model."),
        "stop_requested_at": _("When somebody or something asked for its end."),
        "stop_reason": _("Who asked: a person, a claim in the desk, or a server that shuts down."),
        "error_code": _("What it failed with, as the API calls it."),
        "created_at": _("When it began."),
        "ended_at": _("When it ended; empty while it runs."),
    }
    actions = ("stop",)

    # Django names a foreign key's bare column in English, whatever it is called.
    @admin.display(description=_("conversation"))
    def in_conversation(self, turn: Turn) -> str:
        return str(turn.conversation_id or "")

    @admin.display(description=_("message"))
    def writes(self, turn: Turn) -> str:
        return str(turn.message_id or "")

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_turn")

    @admin.action(description=_("Stop the selected turns"), permissions=["stop"])
    def stop(self, request: HttpRequest, turns: QuerySet[Turn]) -> None:
        actor = actor_of(request)
        running = list(turns.filter(status=Turn.Status.RUNNING))
        for turn in running:
            stop_for_owner(turn, actor=actor)
        told = ngettext(
            "%(count)d turn was asked to stop.", "%(count)d turns were asked to stop.", len(running)
        )
        messages.info(request, told % {"count": len(running)})


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """The kept answer is not shown: it is what was said."""

    list_display = ("id", "sender", "operation", "begun", "created_at")
    search_fields = ("sender__istartswith",)
    search_help_text = _("How the sender begins, or an id")
    id_fields = ("id", "turn_id")
    ordering = ("-id",)
    fields = ("id", "sender", "operation", "begun", "created_at")
    help_texts = {
        "sender": _("Who sent the key."),
        "operation": _("What was asked for under it; another operation is refused."),
        "begun": _("The turn that it began."),
    }

    @admin.display(description=_("turn"))
    def begun(self, record: IdempotencyRecord) -> str:
        return str(record.turn_id)
