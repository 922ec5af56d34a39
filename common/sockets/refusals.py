"""Answers to a handshake that is not accepted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
from django.utils import translation

from common.errors import AppError
from common.middleware import request_id_from
from common.problems import CONTENT_TYPE, as_problem


async def deny(scope: Any, send: Any, refusal: AppError, *, request_id: str = "") -> None:
    """Refuse with the status and problem of `refusal`; with 403 where a server knows no other."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 4000 + refusal.status})
        return
    request_id = request_id or request_id_of(scope)
    body = orjson.dumps(as_problem(refusal, request_id=request_id), default=str)
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-ID": request_id,
        **refusal.headers(),
    }
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refusal.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})


class Refusing:
    """An ASGI application that refuses each handshake in the same words."""

    def __init__(self, refusal: AppError) -> None:
        self.refusal = refusal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with translation.override(language_of(scope)):
            await deny(scope, send, self.refusal)


def request_id_of(scope: Any) -> str:
    """The caller's own id for its handshake when it is a sane one (I12), else a new one."""
    return request_id_from(_header(scope, b"x-request-id"))


def language_of(scope: Any) -> str:
    """The language that a handshake asks for."""
    asked = {"HTTP_ACCEPT_LANGUAGE": _header(scope, b"accept-language")}
    request: Any = SimpleNamespace(COOKIES={}, META=asked)
    return translation.get_language_from_request(request)


def _header(scope: Any, wanted: bytes) -> str:
    for name, value in scope.get("headers", ()):
        if name == wanted:
            return str(value.decode("latin-1"))
    return ""
