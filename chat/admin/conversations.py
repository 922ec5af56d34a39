"""Conversations, for operators: who, when, how much; what was said only to those with the right
to read it, for a reason that is recorded (M4)."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import BigIntegerField, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.admin.actors import actor_of
from chat.models import Conversation, Message
from chat.services import private_reading
from common import admin_asking
from common.admin import ReadOnlyAdmin
from common.errors import Invalid
from common.money import as_decimal


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        min_length=private_reading.SHORTEST_REASON,
        max_length=private_reading.LONGEST_REASON,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("Why you have to read it. It is kept in the audit trail with your name."),
    )
    before = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=BigIntegerField.MAX_BIGINT,
        widget=forms.HiddenInput,
    )

    def clean_reason(self) -> str:
        try:
            return private_reading.checked_reason(self.cleaned_data["reason"])
        except Invalid as refusal:
            raise forms.ValidationError(str(refusal)) from refusal


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("id", "owner", "model", "message_count", "tokens", "money", "updated_at")
    list_filter = ("archived",)
    list_select_related = ("owner",)
    search_fields = ("owner__username__istartswith", "owner__email__istartswith")
    search_help_text = _("How the owner's name or e-mail begins, or an id")
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
    help_texts = {
        "owner": _("The only person who sees it."),
        "title_source": _("Who named it: its owner, or a model. The title itself is not shown."),
        "model": _("The model that answers where a message names no other."),
        "parameters": _("What is sent to the model with every message."),
        "archived": _("Put away by its owner."),
        "pinned": _("Kept on top by its owner."),
        "message_count": _("Messages of all its branches."),
        "tokens": _("What all its turns used, in and out."),
        "money": _("What they cost, by the prices of their time."),
        "updated_at": _("When something was last said in it."),
    }
    actions_detail = ("read",)

    def has_read_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return private_reading.may_read(actor_of(request))

    @action(  # type: ignore[untyped-decorator]
        description=_("Read …"), url_path="read", permissions=["read"]
    )
    def read(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        """Asks for a reason and shows it once: the answer to a POST, which no link leads to."""
        conversation = self.get_object(request, object_id)
        if conversation is None:
            raise Http404
        form = admin_asking.answer(request, ReasonForm)
        there = reverse("admin:chat_conversation_change", args=[conversation.pk])
        title = _("Read a conversation of %(owner)s") % {"owner": conversation.owner}
        if not form.is_valid():
            return admin_asking.ask(
                self,
                request,
                form,
                title=title,
                text=_("It is private. Your name and the reason stay in the audit trail."),
                submit=_("Read it once"),
                back=there,
            )
        reading = private_reading.read(
            conversation.pk,
            actor=actor_of(request),
            reason=form.cleaned_data["reason"],
            before=form.cleaned_data["before"],
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "reading": reading,
            "reason": form.cleaned_data["reason"],
            "answered": admin_asking.ANSWERED,
            "back": there,
        }
        return TemplateResponse(request, "admin/parley/reading.html", context)

    @admin.display(description=_("cost"))
    def money(self, conversation: Conversation) -> str:
        return as_decimal(conversation.cost)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "in_conversation",
        "role",
        "status",
        "model",
        "rating",
        "error_code",
        "created_at",
    )
    list_filter = ("role", "status", "rating")
    search_fields = ("model__istartswith",)
    search_help_text = _("How the model's name begins, or an id")
    id_fields = ("id", "conversation_id")
    ordering = ("-id",)
    fields = (
        "id",
        "in_conversation",
        "after",
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
    help_texts = {
        "in_conversation": _("The conversation it belongs to."),
        "after": _("The message it follows; several with one parent are branches."),
        "role": _("Who speaks."),
        "status": _("Whether it is being written, or how its turn ended."),
        "model": _("The model that answered."),
        "fallback": _("Another model than the one asked for answered."),
        "prompt_tokens": _("What was sent to the model for it."),
        "completion_tokens": _("What the model wrote."),
        "money": _("What it cost, by the prices of its time."),
        "usage_estimated": _("Counted by us: the provider sent no count, or an absurd one."),
        "seconds": _("How long the turn took."),
        "error_code": _("What it failed with, as the API calls it."),
        "position": _("Its place in the conversation."),
        "ended_position": _("The place at which its turn ended."),
        "edited_at": _("When its text was changed in place."),
        "rating": _("What the person who asked thinks of it."),
        "comment": _("What they wrote about that, for staff to read."),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return Message.objects.of_whole()

    # Django names a foreign key's bare column in English, whatever it is called.
    @admin.display(description=_("conversation"))
    def in_conversation(self, message: Message) -> str:
        return str(message.conversation_id)

    @admin.display(description=_("parent"))
    def after(self, message: Message) -> str:
        return str(message.parent_id or "")

    @admin.display(description=_("cost"))
    def money(self, message: Message) -> str:
        return "" if message.cost is None else as_decimal(message.cost)
