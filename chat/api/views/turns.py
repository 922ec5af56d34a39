"""Running turns: rejoining, stopping, answering again, and turns without a conversation."""

from __future__ import annotations

import asyncio
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.scopes import CHATTING
from chat.api import replies, schema
from chat.api.requests import idempotency_key, position, takes_stream, wants_stream
from chat.api.serializers import ChatOnceSerializer, RegenerateSerializer
from chat.api.waiting import Waiting
from chat.services import messages
from chat.services.stopping import ending, request_stop
from chat.services.turn_requests import TurnStarted, chat_once, regenerate, turn_of_message
from common.api.bodies import validated
from common.api.renderers import EventStreamRenderer, JSONRenderer
from common.api.views import ApiView
from common.db import in_thread


@extend_schema(tags=["turns"])
class MessageStreamView(ApiView):
    """The events of the turn that wrote, or writes, a message."""

    key_scopes = CHATTING
    renderer_classes = (EventStreamRenderer, JSONRenderer)
    stream_events = schema.STREAM_EVENTS

    @extend_schema(
        parameters=[
            OpenApiParameter("after", int, description="The `seq` that the reader has already."),
            OpenApiParameter(
                "Last-Event-ID", str, OpenApiParameter.HEADER, description="Goes before `after`."
            ),
        ],
        responses=schema.EVENT_STREAM,
    )
    def get(self, request: Request, message_id: UUID) -> HttpResponseBase:
        """Rejoin a running turn, or replay one that has ended. JSON shows the message as it is."""
        after = position(request, message_id)
        caller = caller_of(request)
        if not takes_stream(request):
            return Response(messages.message_of(caller, message_id))
        return replies.stream(request, lambda: turn_of_message(caller, message_id), after=after)


@extend_schema(tags=["turns"])
class StopView(ApiView):
    key_scopes = CHATTING

    @extend_schema(request=None, responses={200: schema.MessageSerializer})
    def post(self, request: Request, message_id: UUID) -> HttpResponseBase:
        """Stop the answer; its text is kept. Also 200 when it had ended."""
        caller = caller_of(request)
        turn = request_stop(caller, message_id)
        if turn is None:
            return Response(messages.message_of(caller, message_id))

        async def render() -> HttpResponse:
            # Shielded: a person who leaves has asked for the stop all the same.
            await asyncio.shield(ending(turn))
            return replies.json(await in_thread(messages.message_of)(caller, message_id))

        return Waiting(render)


@extend_schema(tags=["turns"])
class RegenerateView(ApiView):
    key_scopes = CHATTING
    renderer_classes = (JSONRenderer, EventStreamRenderer)
    stream_events = schema.STREAM_EVENTS

    @extend_schema(
        request=RegenerateSerializer,
        parameters=[schema.IDEMPOTENCY_KEY],
        responses={201: schema.AnswerSerializer, **schema.EVENT_STREAM, **schema.TURN_FAILURES},
    )
    def post(self, request: Request, message_id: UUID) -> HttpResponseBase:
        """Answer again, beside the answers there are. `Accept: text/event-stream` streams it."""
        if wants_stream(request):
            return replies.stream(request, lambda: self.begin(request, message_id).ref)
        return replies.whole(self.begin(request, message_id))

    def begin(self, request: Request, message_id: UUID) -> TurnStarted:
        fields = validated(RegenerateSerializer(data=request.data))
        key = idempotency_key(request)
        return regenerate(caller_of(request), message_id, **fields, idempotency_key=key)


@extend_schema(tags=["turns"])
class ChatView(ApiView):
    """A turn that leaves no conversation behind."""

    key_scopes = CHATTING
    renderer_classes = (JSONRenderer, EventStreamRenderer)
    stream_events = schema.STREAM_EVENTS
    needs_body = True

    @extend_schema(
        request=ChatOnceSerializer,
        parameters=[schema.IDEMPOTENCY_KEY],
        responses={200: schema.OnceSerializer, **schema.TURN_FAILURES},
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Answer these messages. `stream: true` or `Accept: text/event-stream` streams it."""
        fields = validated(ChatOnceSerializer(data=request.data))
        asks_stream = fields.pop("stream")

        def begin() -> TurnStarted:
            key = idempotency_key(request)
            return chat_once(caller_of(request), **fields, idempotency_key=key)

        if asks_stream or wants_stream(request):
            return replies.stream(request, lambda: begin().ref)
        return replies.once(begin())
