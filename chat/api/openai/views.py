"""`/v1/models` and `/v1/chat/completions`. OpenAI documents them, so our schema leaves them out."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.scopes import CHATTING, CHOOSING
from chat.api.openai import replies
from chat.api.openai.requests import read_completion
from chat.api.requests import idempotency_key
from chat.services.turn_requests import complete_chat
from chat.streams.events import TurnRef
from common.api.views import ApiView
from models_registry.errors import ModelNotAllowed
from models_registry.models import ChatModel
from models_registry.models.chat_model import ChatModelQuerySet
from models_registry.services.routing import no_such_model


@extend_schema(exclude=True)
class ModelsView(ApiView):
    key_scopes = CHOOSING

    def get(self, request: Request) -> Response:
        """Those that the caller may use."""
        found = _usable(request).named(caller_of(request).models).order_by("name", "id")
        return Response({"object": "list", "data": [_model(each) for each in found]})


@extend_schema(exclude=True)
class ModelView(ApiView):
    key_scopes = CHOOSING

    def get(self, request: Request, name: str) -> Response:
        """One of them; a name may hold `/` and `:`."""
        model = _usable(request).filter(name=name).first()
        if model is None:
            raise no_such_model(name)
        only = caller_of(request).models
        if only and name not in only:
            raise ModelNotAllowed
        return Response(_model(model))


@extend_schema(exclude=True)
class CompletionsView(ApiView):
    key_scopes = CHATTING
    needs_body = True

    def post(self, request: Request) -> HttpResponseBase:
        """Answer these messages. Nothing of it is stored as a conversation."""
        body: Any = request.data  # an object: `needs_body`
        asked = read_completion(body)

        def begin() -> TurnRef:
            return complete_chat(
                caller_of(request),
                messages=asked.messages,
                model=asked.model,
                parameters=asked.parameters,
                idempotency_key=idempotency_key(request),
            ).ref

        if asked.stream:
            return replies.streamed(request, begin, include_usage=asked.include_usage)
        return replies.whole(begin())


def _usable(request: Request) -> ChatModelQuerySet:
    return ChatModel.objects.usable_by(caller_of(request).user).select_related("connection")


def _model(model: ChatModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.created_at.timestamp()),
        "owned_by": model.connection.provider,
    }
