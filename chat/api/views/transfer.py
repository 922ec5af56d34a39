"""Conversations leaving and coming: export, import, share, and all that is one's own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.scopes import CHATTING, READING
from chat.api import schema
from chat.api.serializers import ShareRowSerializer
from chat.models import Share
from chat.services import archive, exports, sharing
from chat.services.conversations import conversation_of
from chat.services.importing import import_file
from chat.services.statistics import statistics_of
from common.api import query
from common.api.parsers import UnreadJSONParser
from common.api.views import ApiView, ApiViewSet
from common.downloads import download
from common.errors import Invalid
from common.schema import DONE


@extend_schema(tags=["conversations"])
class ExportView(ApiView):
    """One conversation as a file."""

    key_scopes = CHATTING

    @extend_schema(
        operation_id="conversations_export",
        parameters=[OpenApiParameter("format", str, enum=["json", "markdown"])],
        responses={
            (200, "application/json"): schema.ExportSerializer,
            (200, "text/markdown"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, conversation_id: UUID) -> StreamingHttpResponse:
        """JSON (the whole tree, which `import` takes) or Markdown (the active branch)."""
        wanted = query.choice(request, "format", ("json", "markdown"), default="json")
        conversation = conversation_of(caller_of(request), conversation_id)
        name = f"conversation-{conversation.id}"
        if wanted == "markdown":
            return download(
                exports.as_markdown(conversation),
                name=f"{name}.md",
                content_type="text/markdown; charset=utf-8",
            )
        return download(
            exports.as_json([conversation]), name=f"{name}.json", content_type="application/json"
        )


@extend_schema(tags=["conversations"])
class ImportView(ApiView):
    """Conversations from a file, up to 50 MiB of it."""

    key_scopes = CHATTING
    parser_classes = (UnreadJSONParser,)

    @extend_schema(
        operation_id="conversations_import",
        request=schema.ImportFileSerializer,
        responses={201: schema.ImportedSerializer},
    )
    def post(self, request: Request) -> Response:
        """Takes what `export` gives, unchanged, or ChatGPT's `conversations.json`.

        What was imported before is not added again.
        """
        raw: Any = request.data
        if not isinstance(raw, bytes) or not raw:
            raise Invalid(_("Send the file as the body."))
        return Response(import_file(caller_of(request), raw).as_fields(), status=201)


@extend_schema(tags=["conversations"])
class ShareView(ApiView):
    """The public link to a conversation."""

    key_scopes = CHATTING
    refuses_with = ("409",)

    @extend_schema(request=None, responses={201: schema.ShareSerializer})
    def post(self, request: Request, conversation_id: UUID) -> Response:
        """Share the active branch as it is now. An earlier link of this conversation ends."""
        url = sharing.share_conversation(caller_of(request), conversation_id)
        return Response({"url": url}, status=201)

    @extend_schema(responses={204: DONE})
    def delete(self, request: Request, conversation_id: UUID) -> Response:
        """The link leads nowhere from now on."""
        sharing.unshare_conversation(caller_of(request), conversation_id)
        return Response(status=204)


@extend_schema(tags=["conversations"])
class ShareViewSet(ApiViewSet):
    """What one has made public."""

    key_scopes = CHATTING
    serializer_class = ShareRowSerializer
    queryset = Share.objects.none()

    @extend_schema(operation_id="shares_list")
    def list(self, request: Request) -> Response:
        """Every link that leads somewhere; its address was told once, when it was made."""
        page = self.paginate_queryset(sharing.shares_of(caller_of(request)))
        rows = ShareRowSerializer(page, many=True)  # type: ignore[arg-type]  # a list
        return self.get_paginated_response(rows.data)


@extend_schema(tags=["users"])
class StatisticsView(ApiView):
    """What one has done here."""

    key_scopes = READING

    @extend_schema(operation_id="users_me_stats", responses={200: schema.OwnStatisticsSerializer})
    def get(self, request: Request) -> Response:
        return Response(statistics_of(caller_of(request).user))


@extend_schema(tags=["users"])
class ArchiveView(ApiView):
    """Everything that is one's own, as a zip file."""

    @extend_schema(
        operation_id="users_me_export",
        responses={
            (200, "application/zip"): OpenApiResponse(
                OpenApiTypes.BINARY,
                description="Profile, usage, and each conversation as JSON and as Markdown.",
            )
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        user = caller_of(request).user
        return download(
            archive.archive_of(user), name="parley-export.zip", content_type="application/zip"
        )
