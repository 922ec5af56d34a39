"""What the OpenAPI schema says of messages and event streams. Nothing here runs in a request."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from chat.api.parameters import PROPERTIES
from chat.models import Conversation, Message

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 printable characters; the same key and body begin one turn.",
)

EVENTS = """Server-Sent Events. `event:` is the type, `id:` is `<message id>:<seq>`, `data:` one
line of JSON:

| type | fields |
| --- | --- |
| `chat_start` (`seq` 0) | `conversation_id, message_id, user_message, model` |
| `chat_chunk` | `message_id, seq, content`, maybe `reasoning` or `tool_call`; `seq` counts from 1 |
| `chat_complete` | `message_id, seq, message` |
| `chat_error` | `message_id, seq, code, detail` |
| `snapshot` | `message_id, seq, content`: the whole text up to `seq`, replaces what came before |

A comment line comes at least every 15 s."""

# common.schema defines the component.
PROBLEM = {"$ref": "#/components/schemas/Problem"}

EVENT_STREAM: dict[Any, Any] = {
    (200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description=EVENTS),
}


_TEXT = {"type": "string"}
_ID = {"type": "string", "format": "uuid"}
_NUMBER = {"type": "integer", "minimum": 0}
_MESSAGE = {"$ref": "#/components/schemas/Message"}


def _event(
    name: str, optional: dict[str, Any] | None = None, /, **properties: Any
) -> dict[str, Any]:
    own = {"type": {"type": "string", "enum": [name]}, "message_id": _ID, "seq": _NUMBER}
    return {
        "type": "object",
        "properties": own | properties | (optional or {}),
        "required": [*own, *properties],
    }


STREAM_EVENTS = {
    "ChatStart": _event(
        "chat_start",
        conversation_id={**_ID, "nullable": True},
        user_message={"allOf": [_MESSAGE], "nullable": True},
        model=_TEXT,
    ),
    "ChatChunk": _event(
        "chat_chunk", {"reasoning": _TEXT, "tool_call": {"type": "object"}}, content=_TEXT
    ),
    "ChatComplete": _event("chat_complete", message=_MESSAGE),
    "ChatError": _event("chat_error", code=_TEXT, detail=_TEXT),
    "Snapshot": _event("snapshot", {"reasoning": _TEXT}, content=_TEXT),
}


class ChatOnceExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """The parameters of `POST chat` stand beside its fields and are none of them."""

    target_class = "chat.api.serializers.ChatOnceSerializer"

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(  # noqa: SLF001 as spectacular's guide shows it
            self.target, direction, bypass_extensions=True
        )
        return schema | {"properties": schema["properties"] | PROPERTIES}


class ToolCallSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    arguments = serializers.CharField()
    result = serializers.CharField(required=False, allow_null=True)
    status = serializers.CharField(required=False)
    seconds = serializers.FloatField(required=False, allow_null=True)


class SourceSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    title = serializers.CharField()
    url = serializers.CharField()
    text = serializers.CharField()


class UsageSerializer(serializers.Serializer[Any]):
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost = serializers.CharField(help_text=_("Money, as a decimal string."))
    estimated = serializers.BooleanField()


class ContextSerializer(serializers.Serializer[Any]):
    messages_left_out = serializers.IntegerField()
    summarized = serializers.BooleanField()


class MessageErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()


class RatingSerializer(serializers.Serializer[Any]):
    rating = serializers.ChoiceField(Message.Rating.choices)
    comment = serializers.CharField()


class MessageSerializer(serializers.Serializer[Any]):
    """A message, in answers and in events."""

    id = serializers.UUIDField()
    conversation_id = serializers.UUIDField(allow_null=True)
    parent_id = serializers.UUIDField(allow_null=True)
    role = serializers.ChoiceField(Message.Role.choices)
    content = serializers.CharField()
    reasoning = serializers.CharField()
    tool_calls = ToolCallSerializer(many=True)
    sources = SourceSerializer(many=True)
    status = serializers.ChoiceField(Message.Status.choices)
    model = serializers.CharField()
    fallback = serializers.BooleanField()
    usage = UsageSerializer(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    context = ContextSerializer(allow_null=True)  # type: ignore[assignment]  # a field's name
    error = MessageErrorSerializer(allow_null=True)
    feedback = RatingSerializer(allow_null=True)
    attachments = serializers.ListField(child=serializers.JSONField())
    siblings = serializers.ListField(child=serializers.UUIDField())
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)


class MessagePageSerializer(serializers.Serializer[Any]):
    results = MessageSerializer(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class AnswerSerializer(serializers.Serializer[Any]):
    user_message = MessageSerializer(allow_null=True)
    message = MessageSerializer()


class ExportedMessageSerializer(MessageSerializer):
    """A message in a file: with its place, without what follows from the tree."""

    conversation_id = attachments = siblings = None  # type: ignore[assignment]  # DRF: left out
    position = serializers.IntegerField()
    ended_position = serializers.IntegerField(allow_null=True)


class ExportedConversationSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    title = serializers.CharField()
    title_source = serializers.ChoiceField(Conversation.TitleSource.choices)
    model = serializers.CharField()
    system_prompt = serializers.CharField()
    parameters = serializers.JSONField()
    archived = serializers.BooleanField()
    pinned = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    messages = ExportedMessageSerializer(many=True)


class ExportSerializer(serializers.Serializer[Any]):
    """Parley's own file, version 1."""

    format = serializers.ChoiceField(["parley.conversations"])
    version = serializers.IntegerField(min_value=1, max_value=1)
    exported_at = serializers.DateTimeField()
    conversations = ExportedConversationSerializer(many=True)


class ImportFileSerializer(serializers.Serializer[Any]):
    """Parley's own file; ChatGPT's, a list of objects with a `mapping` each, is taken as well."""

    format = serializers.ChoiceField(["parley.conversations"])
    version = serializers.IntegerField(min_value=1, max_value=1)
    conversations = serializers.ListField(child=serializers.JSONField())


class ImportedConversationSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    title = serializers.CharField()
    added = serializers.BooleanField()


class ImportedSerializer(serializers.Serializer[Any]):
    added = serializers.IntegerField(help_text=_("Conversations that are new."))
    already_there = serializers.IntegerField()
    messages = serializers.IntegerField(help_text=_("Messages of the new conversations."))
    left_out = serializers.IntegerField(help_text=_("Messages that could not be taken."))
    conversations = ImportedConversationSerializer(many=True)


class ShareSerializer(serializers.Serializer[Any]):
    url = serializers.URLField()


class OwnStatisticsSerializer(serializers.Serializer[Any]):
    conversations = serializers.IntegerField()
    messages = serializers.IntegerField()
    tokens = serializers.IntegerField()
    cost = serializers.CharField(help_text=_("Money, as a decimal string."))
    average_messages_per_conversation = serializers.FloatField()


class OnceSerializer(serializers.Serializer[Any]):
    content = serializers.CharField()
    tokens = serializers.IntegerField()
    model = serializers.CharField()


def _problem(description: str) -> OpenApiResponse:
    return OpenApiResponse(PROBLEM, description=description)


TURN_FAILURES: dict[Any, Any] = {
    (409, "application/problem+json"): _problem("A turn is running in this conversation."),
    (502, "application/problem+json"): _problem("The provider failed (`upstream_error`)."),
    (503, "application/problem+json"): _problem("`model_unavailable` or `unavailable`."),
    (504, "application/problem+json"): _problem("The provider was silent (`upstream_timeout`)."),
}
