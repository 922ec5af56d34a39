"""Ending what dead processes left, for an operator who will not wait for a server to do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from chat.streams.hub import hub
from chat.streams.mirror import Mirror
from chat.turns.tending import Tender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OWNER = "command-reaping"

Wait = Callable[[float], Awaitable[object]]


async def reap(*, close: bool = True, wait: Wait = asyncio.sleep) -> list[UUID]:
    """Look until every running turn has beaten or stood still for DEAD_TURN_SECONDS, and close
    those that did; which they are. With `close` False they are only told.

    For a process without a runner, whose own looks would do the same.
    """
    tender = Tender(OWNER, ())
    found: list[UUID] = []
    async with _mirrored():
        # One look more than it takes: those in which the database was away do not count.
        for _look in range(round(settings.DEAD_TURN_SECONDS / settings.LOOK_SECONDS) + 2):
            found += await (tender.look() if close else tender.still())
            if not tender.watches or (found and not close):
                break
            await wait(settings.LOOK_SECONDS)
    return found


@asynccontextmanager
async def _mirrored() -> AsyncIterator[None]:
    """The logs in Redis at hand: they know more text than the checkpoints, and have readers."""
    loop, url = asyncio.get_running_loop(), settings.REDIS_URL
    hub.attach(loop, Mirror(url, OWNER, on_stop=lambda _turn_id: None) if url else None)
    try:
        yield
    finally:
        if hub.mirror is not None:
            await hub.mirror.close()
        hub.attach(loop, None)
