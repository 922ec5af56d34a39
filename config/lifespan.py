"""The server's start and end, as ASGI tells them. Django and Channels do not listen."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from common import lifecycle
from common.errors import AppError

logger = logging.getLogger(__name__)


class StartAtFirstRequest:
    """ASGI middleware for `runserver`, whose daphne tells nobody that it starts."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.start: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.start is None:
            self.start = asyncio.create_task(lifecycle.start())
        await asyncio.shield(self.start)
        await self.app(scope, receive, send)


async def lifespan(_scope: Any, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await lifecycle.start()
            except AppError as refusal:
                await send({"type": "lifespan.startup.failed", "message": str(refusal)})
                return
            except Exception:
                logger.exception(
                    "The server could not start. If the database is up, please report what follows."
                )
                await send({"type": "lifespan.startup.failed", "message": ""})
                return
            await send({"type": "lifespan.startup.complete"})
        else:
            await lifecycle.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
