"""The turn logs in Redis Streams, so that any process can serve any reader.

One stream a turn. An entry holds the events of `TURN_LOG_FLUSH_SECONDS`, one JSON line each,
and its id is `<seq of its last event + 1>-0`: of two writers one is refused. The owner adds with
NOMKSTREAM; when the stream is gone (FLUSHALL) or a write had failed, it begins with a snapshot.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from chat.streams.mirror.reading import BLOCK_SECONDS, Reader
from chat.streams.mirror.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

logger = structlog.get_logger(__name__)


class Mirror:
    """Writes this process's logs to Redis and feeds the followed ones from it."""

    def __init__(self, url: str, owner: str, *, on_stop: Callable[[UUID], None]) -> None:
        # Two clients: one may block for seconds in XREAD, the other never waits long.
        self._quick: Redis = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._patient: Redis = Redis.from_url(
            url, socket_timeout=2 * BLOCK_SECONDS, socket_connect_timeout=2
        )
        self.writer = Writer(self._quick)
        self.reader = Reader(self._quick, self._patient, owner, on_stop=on_stop)
        self._tasks = [
            asyncio.create_task(self.writer.keep_writing()),
            asyncio.create_task(self.reader.keep_reading()),
        ]

    async def close(self) -> None:
        """Write what is left, then let go of Redis."""
        pending = set(self._tasks)
        while pending:
            # Again and again: the client awaits `asyncio.wait_for`, which before Python 3.12
            # loses a cancel that comes as its inner call ends.
            for task in pending:
                task.cancel()
            _done, pending = await asyncio.wait(pending, timeout=0.1)
        try:
            await self.writer.flush()
        except (RedisError, OSError):
            logger.warning(
                "Redis is away at the end of this process: readers in others get the last words of"
                " its answers from the database. See to the Redis of REDIS_URL."
            )
        await self._quick.aclose()
        await self._patient.aclose()
