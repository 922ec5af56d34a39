"""Lists in pages. A cursor is signed and good for one list, one order and one caller (I6)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson
from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework import pagination
from rest_framework.request import Request

from common.api import query
from common.errors import Invalid

_CURSOR_CHARACTERS = 1_000


class CursorPagination(pagination.CursorPagination):
    """`?limit=` 1-100 and `?cursor=`; links begin with PUBLIC_URL.

    A view says its order by `ordering` (a field name or several) or by `get_ordering()`.
    """

    page_size_query_param = "limit"
    ordering = "-id"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.signer = Signer(salt=f"cursor:{request.path}:{_caller(request)}")
        page: list[Any] | None = super().paginate_queryset(queryset, request, view=view)
        self.base_url = settings.PUBLIC_URL + request.path
        if kept := [
            (name, value)
            for name, values in request.query_params.lists()
            for value in values
            if name != self.cursor_query_param
        ]:
            self.base_url += "?" + urlencode(kept)
        return page or []

    def get_page_size(self, request: Request) -> int:
        return query.limit(request)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        own = getattr(view, "get_ordering", None)
        ordering = own() if own else getattr(view, "ordering", None) or self.ordering
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def decode_cursor(self, request: Request) -> pagination.Cursor | None:
        sent = query.given(request, self.cursor_query_param)
        if sent is None:
            return None
        try:
            order, offset, backwards, position = orjson.loads(
                bytes.fromhex(self.signer.unsign(sent[:_CURSOR_CHARACTERS]))
            )
        except (BadSignature, ValueError, TypeError):
            raise Invalid.field("cursor", _("This page address is not valid.")) from None
        if order != list(self.ordering):
            raise Invalid.field("cursor", _("This page address is not valid."))
        return pagination.Cursor(offset=offset, reverse=backwards, position=position)

    def encode_cursor(self, cursor: pagination.Cursor) -> str:
        plain = orjson.dumps(
            [list(self.ordering), cursor.offset, cursor.reverse, cursor.position], default=str
        )
        token = urlencode({self.cursor_query_param: self.signer.sign(plain.hex())})
        return f"{self.base_url}{'&' if '?' in str(self.base_url) else '?'}{token}"


def _caller(request: Request) -> str:
    return str(getattr(request.user, "pk", "") or "anonymous")
