"""The only way into a REST view: JSON in UTF-8 (I3, I4, I9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser

from common import errors
from common.jsonbody import parse_json


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _kind, parameters = parse_header_parameters(media_type or "")
        charset = parameters.get("charset", "utf-8")
        if charset.lower().replace("_", "-") not in {"utf-8", "utf8"}:
            raise errors.UnsupportedMediaType
        return self.read(stream.read())

    def read(self, raw: bytes) -> Any:
        return parse_json(raw)


class UnreadJSONParser(StrictJSONParser):
    """Leaves the bytes to a service that reads them in pieces; for bodies of many megabytes."""

    def read(self, raw: bytes) -> bytes:
        return raw
