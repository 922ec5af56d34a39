"""Answers to a handshake that is not accepted."""

from __future__ import annotations

from typing import Any

import orjson

from common.errors import AppError
from common.problems import CONTENT_TYPE


async def deny(scope: Any, send: Any, refusal: AppError) -> None:
    """Refuse with the status and problem of `refusal`; with 403 where a server knows no other."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 4000 + refusal.status})
        return
    body = orjson.dumps(refusal.as_problem(), default=str)
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        **refusal.headers(),
    }
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refusal.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})
