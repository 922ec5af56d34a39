"""The messages of a conversation: reading, editing, deleting, and sending one."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.scopes import CHATTING
from chat.api import replies, schema
from chat.api.requests import idempotency_key, takes_stream
from chat.api.serializers import EditSerializer, FeedbackSerializer, SendSerializer
from chat.services import messages
from chat.services.turn_requests import TurnStarted, send_message
from common.api import query
from common.api.bodies import validated
from common.api.renderers import EventStreamRenderer, JSONRenderer
from common.api.views import ApiView
from common.schema import DONE


def send(request: Request, conversation_id: UUID) -> TurnStarted:
    """Begin the turn that a send asks for; raises Invalid and what the service raises."""
    fields = validated(SendSerializer(data=request.data))
    fields.pop("attachments", None)
    return send_message(
        caller_of(request), conversation_id, **fields, idempotency_key=idempotency_key(request)
    )


@extend_schema(tags=["messages"])
class MessagesView(ApiView):
    """The transcript of one conversation."""

    key_scopes = CHATTING

    def takes_body(self, request: Request) -> bool:
        return request.method == "POST"

    @extend_schema(
        operation_id="messages_list",
        parameters=[
            OpenApiParameter("branch", UUID, description="Path from the root to this message."),
            OpenApiParameter("before", UUID, description="The page above this message."),
            OpenApiParameter("limit", int),
        ],
        responses={200: schema.MessagePageSerializer},
    )
    def get(self, request: Request, conversation_id: UUID) -> Response:
        """The active branch, oldest first; `next` is the page above."""
        branch = query.uuid(request, "branch")
        limit = query.limit(request)
        page = messages.branch(
            caller_of(request),
            conversation_id,
            branch=branch,
            before=query.uuid(request, "before"),
            limit=limit,
        )
        above = None
        if page.previous is not None:
            kept = {"limit": limit, "before": page.previous}
            if branch is not None:
                kept["branch"] = branch
            above = f"{settings.PUBLIC_URL}{request.path}?{urlencode(kept)}"
        return Response({"results": page.messages, "next": above, "previous": None})

    @extend_schema(
        request=SendSerializer,
        parameters=[schema.IDEMPOTENCY_KEY],
        responses={201: schema.AnswerSerializer, **schema.TURN_FAILURES},
    )
    def post(self, request: Request, conversation_id: UUID) -> HttpResponseBase:
        """Send a message; answers when the turn has ended."""
        return replies.whole(send(request, conversation_id))


@extend_schema(tags=["messages"])
class MessagesStreamView(ApiView):
    """The same send, answered as it is written."""

    key_scopes = CHATTING
    renderer_classes = (EventStreamRenderer, JSONRenderer)
    stream_events = schema.STREAM_EVENTS
    needs_body = True

    @extend_schema(
        request=SendSerializer,
        parameters=[schema.IDEMPOTENCY_KEY],
        responses={
            **schema.EVENT_STREAM,
            (201, "application/json"): schema.AnswerSerializer,
            **schema.TURN_FAILURES,
        },
    )
    def post(self, request: Request, conversation_id: UUID) -> HttpResponseBase:
        """Send a message and stream the answer. Who accepts JSON alone gets it at the end."""
        if not takes_stream(request):
            return replies.whole(send(request, conversation_id))
        return replies.stream(request, lambda: send(request, conversation_id).ref)


@extend_schema(tags=["messages"])
class MessageView(ApiView):
    """One message."""

    key_scopes = CHATTING

    @extend_schema(responses={200: schema.MessageSerializer})
    def get(self, request: Request, message_id: UUID) -> Response:
        return Response(messages.message_of(caller_of(request), message_id))

    @extend_schema(request=EditSerializer, responses={200: schema.MessageSerializer})
    def patch(self, request: Request, message_id: UUID) -> Response:
        """Edit in place. To branch instead, send with the message's `parent_id`."""
        content = validated(EditSerializer(data=request.data))["content"]
        return Response(messages.edit_message(caller_of(request), message_id, content))

    @extend_schema(request=EditSerializer, responses={200: schema.MessageSerializer})
    def put(self, request: Request, message_id: UUID) -> Response:
        return self.patch(request, message_id)

    @extend_schema(responses={204: DONE})
    def delete(self, request: Request, message_id: UUID) -> Response:
        """Delete a message and all that follow from it."""
        messages.delete_message(caller_of(request), message_id)
        return Response(status=204)


@extend_schema(tags=["messages"])
class FeedbackView(ApiView):
    """What the caller thinks of an answer."""

    key_scopes = CHATTING

    def takes_body(self, request: Request) -> bool:
        return request.method == "POST"

    @extend_schema(request=FeedbackSerializer, responses={200: schema.MessageSerializer})
    def post(self, request: Request, message_id: UUID) -> Response:
        """Rate an answer. A second rating replaces the first."""
        given = validated(FeedbackSerializer(data=request.data))
        return Response(messages.rate_message(caller_of(request), message_id, **given))

    @extend_schema(responses={204: DONE})
    def delete(self, request: Request, message_id: UUID) -> Response:
        """Take the rating back."""
        messages.rate_message(caller_of(request), message_id, rating="")
        return Response(status=204)
