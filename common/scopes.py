"""What an ASGI scope says, for those who speak before Django does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.utils import translation

from common.middleware import request_id_from


def header(scope: Any, wanted: bytes) -> str:
    for name, value in scope.get("headers", ()):
        if name == wanted:
            return str(value.decode("latin-1"))
    return ""


def request_id_of(scope: Any) -> str:
    """The caller's own id when it is a sane one (I12), else a new one."""
    return request_id_from(header(scope, b"x-request-id"))


def language_of(scope: Any) -> str:
    """The language that the caller asks for."""
    asked = {"HTTP_ACCEPT_LANGUAGE": header(scope, b"accept-language")}
    request: Any = SimpleNamespace(COOKIES={}, META=asked)
    return translation.get_language_from_request(request)
