"""Where in Redis what stands, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

# The field of a turn's entry: its events, a line of JSON each.
LINES = b"e"
# A field of a process's entries: the turn that it is asked to stop.
STOP = b"stop"
# A control stream is read as it grows: it need not be long.
_CONTROL_ENTRIES = 1_000


def turn_key(turn_id: UUID) -> bytes:
    """The stream of a turn."""
    return b"parley:turn:" + turn_id.hex.encode()


def control_key(owner: str) -> bytes:
    """The stream in which others speak to the process `owner`, and it wakes its own reader."""
    return b"parley:runner:" + owner.encode()


async def speak_to(redis: Redis, control: bytes, words: dict[Any, Any]) -> None:
    """Add to a control stream, which outlives its process by an hour at the most."""
    await redis.xadd(control, words, maxlen=_CONTROL_ENTRIES, approximate=True)
    await redis.expire(control, settings.TURN_LOG_REDIS_SECONDS)
