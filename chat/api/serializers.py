"""What clients send and get, field by field. Frames of the socket are read by the same classes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from chat.api.parameters import ParametersField, read_parameters
from chat.models import Conversation, Message, Share
from chat.models.conversations import MODEL_CHARACTERS
from common.api.fields import IdField, NullIsAbsent, SwitchField, TextField, WholeNumberField
from common.money import as_decimal


class OptionalText(TextField):
    """Text that may be empty, but not made of white space alone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, required=False, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str) and data and not data.strip():
            self.fail("blank")
        return super().run_validation(data)


class ModelNameField(OptionalText):
    """The name of a model; "" and null mean the conversation's, else the deployment's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, max_length=MODEL_CHARACTERS, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation("" if data is None else data)


class ContentField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=settings.CONTENT_CHARACTERS, **kwargs)


class AttachmentsField(NullIsAbsent, serializers.ListField):
    """Files come with the pages; until then only the empty list is known."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.CharField(), required=False, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if data != []:
            raise serializers.ValidationError(_("Attachments are not available here."))
        return []


class IdempotencyKeyField(NullIsAbsent, TextField):
    default_error_messages = {"unprintable": _("Use printable characters.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=settings.IDEMPOTENCY_KEY_CHARACTERS, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        key = super().to_internal_value(data)
        if not key.isprintable():
            self.fail("unprintable")
        return key


# -- conversations -----------------------------------------------------------------------------
class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    cost = serializers.SerializerMethodField()

    class Meta:
        model = Conversation
        fields = (
            "id",
            "title",
            "title_source",
            "model",
            "system_prompt",
            "parameters",
            "archived",
            "pinned",
            "message_count",
            "tokens",
            "cost",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_cost(self, conversation: Conversation) -> str:
        return as_decimal(conversation.cost)


class NewConversationSerializer(serializers.Serializer[Any]):
    title = OptionalText(max_length=settings.TITLE_CHARACTERS)
    model = ModelNameField()
    system_prompt = OptionalText(max_length=settings.SYSTEM_PROMPT_CHARACTERS)
    parameters = ParametersField(required=False)


class ConversationChangesSerializer(NewConversationSerializer):
    archived = SwitchField(required=False)
    pinned = SwitchField(required=False)


# -- messages and turns ------------------------------------------------------------------------
class RegenerateSerializer(serializers.Serializer[Any]):
    model = ModelNameField()
    parameters = ParametersField(required=False)


class SendSerializer(RegenerateSerializer):
    content = ContentField()
    parent_id = IdField(required=False, allow_null=True)
    attachments = AttachmentsField()


class EditSerializer(serializers.Serializer[Any]):
    content = ContentField()


class FeedbackSerializer(serializers.Serializer[Any]):
    rating = serializers.ChoiceField(choices=Message.Rating.choices)
    comment = OptionalText(max_length=settings.COMMENT_CHARACTERS, allow_null=True)

    def validate_comment(self, comment: str | None) -> str:
        return comment or ""


class ShareRowSerializer(serializers.Serializer[Share]):
    id = serializers.UUIDField()
    conversation_id = serializers.UUIDField()
    title = serializers.CharField(help_text=_("The conversation's, when it was shared."))
    created_at = serializers.DateTimeField(help_text=_("When it was shared."))


class PromptSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = ContentField()


class ChatOnceSerializer(serializers.Serializer[Any]):
    """`POST chat`: parameters stand beside the messages, as with OpenAI."""

    messages = PromptSerializer(many=True, allow_empty=False)
    model = ModelNameField()
    stream = SwitchField(required=False, default=False)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        fields: dict[str, Any] = super().to_internal_value(data)
        return fields | {"parameters": read_parameters(data)}


# -- frames ------------------------------------------------------------------------------------
class ChatFrame(serializers.Serializer[Any]):
    conversation_id = IdField(required=False, allow_null=True)
    content = ContentField()
    model = ModelNameField()
    parent_id = IdField(required=False, allow_null=True)
    idempotency_key = IdempotencyKeyField(required=False)
    attachments = AttachmentsField()


class MessageFrame(serializers.Serializer[Any]):
    message_id = IdField()


class AfterField(NullIsAbsent, WholeNumberField):
    """A number in a turn's log; negative is "from the start"."""


class ResumeFrame(MessageFrame):
    after = AfterField(required=False, default=-1)


class ConversationFrame(serializers.Serializer[Any]):
    conversation_id = IdField()
