"""How much of a body is read, and for how long, before Django sees any of it (I1, I2).

Django's ASGI handler reads a whole body, to disk if need be, before it looks at the address.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from common import request_log
from common.addresses import client_address
from common.errors import AppError, Invalid, PayloadTooLarge
from common.problems import bare_answer
from common.request_headers import header, language_of, request_id_of

_LIMITS = (
    (re.compile(r"/v1/"), "V1_BODY_BYTES"),
    (re.compile(r"/api/v1/conversations/import$"), "IMPORT_BODY_BYTES"),
    (re.compile(r"/api/v1/attachments$"), "UPLOAD_BODY_BYTES"),
)
_DISCARD_SECONDS = 1
_GONE = {"type": "http.disconnect"}


class BodyTooSlow(Invalid):
    status = 408
    title = _("The request's body did not arrive in time.")


def limit_of(path: str) -> int:
    """Bytes that a body sent to `path` may have."""
    for pattern, name in _LIMITS:
        if pattern.match(path):
            return int(getattr(settings, name))
    return settings.JSON_BODY_BYTES


class BodyLimits:
    """ASGI middleware. After a refusal the connection is closed."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = time.perf_counter()
        sent = header(scope, "content-length")
        if not sent and not header(scope, "transfer-encoding"):
            await self.app(scope, receive, send)
            return
        # A list of our own: what `_Body` adds to it reaches every copy of this scope.
        scope = {**scope, "headers": list(scope["headers"])}
        body = _Body(scope, receive, limit=limit_of(scope["path"]))
        if sent.isdecimal() and int(sent[:20]) > body.limit:
            await body.discard()
            body.refusal = PayloadTooLarge()
        else:
            await self.app(scope, body.receive, send)
        if body.refusal is not None:
            await _refuse(body.refusal, scope, send, began=began)


class _Body:
    """`receive` that counts bytes and seconds until the body is whole.

    To the application a refused body looks like a client that has left: it lets go quietly.
    """

    def __init__(self, scope: Any, receive: Any, *, limit: int) -> None:
        self.scope, self.source, self.limit = scope, receive, limit
        self.bytes = 0
        self.whole = False
        self.refusal: AppError | None = None
        self.deadline = asyncio.get_running_loop().time() + settings.BODY_SECONDS

    async def receive(self) -> Any:
        if self.whole:
            return await self.source()
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.source()
        except TimeoutError:
            self.refusal = BodyTooSlow()
            return _GONE
        self.bytes += len(message.get("body", b""))
        if self.bytes > self.limit:
            await self.discard()
            self.refusal = PayloadTooLarge()
            return _GONE
        self.whole = not message.get("more_body", False)
        if self.whole and not header(self.scope, "content-length"):
            # DRF takes a request without this header for one without a body.
            length = (b"content-length", str(self.bytes).encode())
            self.scope["headers"].append(length)
        return message

    async def discard(self) -> None:
        """Let a client that is nearly done finish: closing under its hands costs it our answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                more = True
                while more and self.bytes <= 2 * self.limit:
                    message = await self.source()
                    self.bytes += len(message.get("body", b""))
                    more = message.get("more_body", False)


async def _refuse(refusal: AppError, scope: Any, send: Any, *, began: float) -> None:
    request_id = request_id_of(scope)
    with translation.override(language_of(scope)):
        headers, body = bare_answer(
            refusal, request_id=request_id, path=scope["path"], Connection="close"
        )
    request_log.answered(
        scope["method"],
        scope["path"],
        refusal.status,
        began=began,
        address=client_address(scope),
        request_id=request_id,
    )
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
