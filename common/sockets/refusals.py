"""Answers to a handshake that is not accepted."""

from __future__ import annotations

import time
from typing import Any

from django.utils import translation

from common import request_log
from common.addresses import client_address
from common.errors import AppError
from common.problems import bare_answer
from common.request_headers import language_of, request_id_of


async def deny(scope: Any, send: Any, refusal: AppError, *, request_id: str = "") -> None:
    """Refuse with the status and problem of `refusal`; with 403 where a server knows no other."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 4000 + refusal.status})
        return
    began = time.perf_counter()
    request_id = request_id or request_id_of(scope)
    headers, body = bare_answer(refusal, request_id=request_id)
    start = {"type": "websocket.http.response.start", "status": refusal.status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})
    request_log.answered(
        "GET",
        scope["path"],
        refusal.status,
        began=began,
        address=client_address(scope),
        request_id=request_id,
    )


class Refusing:
    """An ASGI application that refuses each handshake in the same words."""

    def __init__(self, refusal: AppError) -> None:
        self.refusal = refusal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with translation.override(language_of(scope)):
            await deny(scope, send, self.refusal)
