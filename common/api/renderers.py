"""What an answer may be: JSON bytes, or an event stream that the view makes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer

from common.sse import MEDIA_TYPE


def dump(data: object) -> bytes:
    """JSON in UTF-8; ids, times and lazy translations as text."""
    return orjson.dumps(data, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)


def _plain(value: Any) -> Any:
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return str(value)


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else dump(data)


class EventStreamRenderer(JSONRenderer):
    """Lets `Accept: text/event-stream` choose; the view returns the stream, never this class."""

    media_type = MEDIA_TYPE
    format = "event-stream"
