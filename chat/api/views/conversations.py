"""A person's conversations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.scopes import CHATTING
from chat.api.serializers import (
    ConversationChangesSerializer,
    ConversationSerializer,
    NewConversationSerializer,
)
from chat.models import Conversation
from chat.services import conversations
from chat.services.search import search
from common.api import query
from common.api.bodies import validated
from common.api.views import ApiViewSet
from common.db import bounded_query
from common.errors import NotFound
from common.schema import DONE

# How `?ordering=` spells it -> what it sorts by. The id decides between equals.
_ORDERINGS = {
    "-updated_at": ("-updated_at", "-id"),
    "updated_at": ("updated_at", "id"),
    "-created_at": ("-id",),
    "created_at": ("id",),
    "title": ("title", "id"),
    "-title": ("-title", "-id"),
}
_NEWEST_ACTIVITY = "-updated_at"


@extend_schema(tags=["conversations"])
class ConversationViewSet(ApiViewSet):
    """The caller's own conversations. Anyone else's do not exist."""

    key_scopes = CHATTING
    serializer_class = ConversationSerializer
    queryset = Conversation.objects.none()
    lookup_url_kwarg = "conversation_id"

    def get_queryset(self) -> QuerySet[Conversation]:
        return Conversation.objects.visible_to(caller_of(self.request).user)

    def get_ordering(self) -> tuple[str, ...]:
        chosen = query.choice(self.request, "ordering", _ORDERINGS, default=_NEWEST_ACTIVITY)
        return _ORDERINGS[chosen or _NEWEST_ACTIVITY]

    @extend_schema(
        parameters=[
            OpenApiParameter("q", str, description="Searches titles and message text."),
            OpenApiParameter("archived", bool),
            OpenApiParameter("pinned", bool),
            OpenApiParameter("ordering", str, enum=list(_ORDERINGS)),
        ]
    )
    def list(self, request: Request) -> Response:
        rows = self.get_queryset()
        for name in ("archived", "pinned"):
            wanted = query.boolean(request, name)
            if wanted is not None:
                rows = rows.filter(**{name: wanted})
        if text := query.search(request):
            rows = search(rows, caller_of(request).user, text)
            with bounded_query(settings.SEARCH_SECONDS):
                page = self.paginate_queryset(rows)
        else:
            page = self.paginate_queryset(rows)
        return self.get_paginated_response(ConversationSerializer(page, many=True).data)

    @extend_schema(request=NewConversationSerializer, responses={201: ConversationSerializer})
    def create(self, request: Request) -> Response:
        fields = validated(NewConversationSerializer(data=request.data))
        made = conversations.create_conversation(caller_of(request), **fields)
        return Response(ConversationSerializer(made).data, status=201)

    def retrieve(self, request: Request, conversation_id: UUID) -> Response:
        conversation = self.get_queryset().filter(pk=conversation_id).first()
        if conversation is None:
            raise NotFound
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(request=ConversationChangesSerializer)
    def partial_update(self, request: Request, conversation_id: UUID) -> Response:
        fields = validated(ConversationChangesSerializer(data=request.data))
        return self._changed(request, conversation_id, **fields)

    @extend_schema(request=ConversationChangesSerializer)
    def update(self, request: Request, conversation_id: UUID) -> Response:
        """Accepted as PATCH: what is left out stays."""
        return self.partial_update(request, conversation_id)

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, conversation_id: UUID) -> Response:
        conversations.delete_conversation(caller_of(request), conversation_id)
        return Response(status=204)

    @extend_schema(request=None)
    def archive(self, request: Request, conversation_id: UUID) -> Response:
        return self._changed(request, conversation_id, archived=True)

    @extend_schema(request=None)
    def unarchive(self, request: Request, conversation_id: UUID) -> Response:
        return self._changed(request, conversation_id, archived=False)

    def _changed(self, request: Request, conversation_id: UUID, **fields: Any) -> Response:
        changed = conversations.change_conversation(caller_of(request), conversation_id, **fields)
        return Response(ConversationSerializer(changed).data)
