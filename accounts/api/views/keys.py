"""One's own API keys. No key reaches them (K3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.key_serializers import ApiKeySerializer, MadeApiKeySerializer, NewApiKeySerializer
from accounts.models import ApiKey, User
from accounts.services import api_keys
from accounts.services.api_keys import NewKey
from common.api.bodies import validated
from common.api.views import ApiViewSet
from common.errors import NotFound
from common.schema import DONE


@extend_schema(tags=["api-keys"])
class ApiKeyViewSet(ApiViewSet):
    """What programs of one's own show instead of signing in.

    Higher apps extend it: by more fields in the serializers, and by what `make` does with
    them.
    """

    serializer_class: Any = ApiKeySerializer
    new_serializer_class: Any = NewApiKeySerializer
    queryset = ApiKey.objects.none()
    lookup_url_kwarg = "key_id"

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.visible_to(caller_of(self.request).user)

    def shown(self, keys: Sequence[ApiKey]) -> Sequence[dict[str, Any]]:
        """Keys as this view tells of them, with the same queries for one and for many."""
        return [dict(self.get_serializer(key).data) for key in keys]

    def make(self, owner: User, fields: dict[str, Any]) -> NewKey:
        return api_keys.create(owner, **fields, actor=owner)

    def list(self, request: Request) -> Response:
        """Those that were not revoked, the newest first; the keys themselves nobody can read."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.shown(page or []))

    @extend_schema(request=NewApiKeySerializer, responses={201: MadeApiKeySerializer})
    def create(self, request: Request) -> Response:
        """`key` is in this answer and nowhere else."""
        fields = validated(self.new_serializer_class(data=request.data))
        made = self.make(caller_of(request).user, fields)
        (shown,) = self.shown([made.row])
        return Response({**shown, "key": made.text}, status=201)

    def retrieve(self, request: Request, key_id: UUID) -> Response:
        (shown,) = self.shown([self._found(key_id)])
        return Response(shown)

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, key_id: UUID) -> Response:
        """Refused from the next request on; its sockets and streams end."""
        api_keys.revoke(self._found(key_id), actor=caller_of(request).user)
        return Response(status=204)

    def _found(self, key_id: UUID) -> ApiKey:
        key: ApiKey | None = self.get_queryset().filter(pk=key_id).first()
        if key is None:
            raise NotFound
        return key
