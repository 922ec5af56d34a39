"""What others have said in Redis: the logs that are followed here, and requests to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import structlog
from redis.exceptions import RedisError

from chat.streams import events
from chat.streams.events import Event
from chat.streams.mirror.keys import LINES, STOP, control_key, speak_to, turn_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

    from chat.streams.log import TurnLog

logger = structlog.get_logger(__name__)

BLOCK_SECONDS = 5


class Reader:
    """One XREAD for all watched streams and the process's own control stream."""

    def __init__(
        self, quick: Redis, patient: Redis, owner: str, *, on_stop: Callable[[UUID], None]
    ) -> None:
        self._quick, self._patient = quick, patient
        self._on_stop = on_stop
        self._watched: dict[bytes, tuple[TurnLog, bytes]] = {}
        self._control = control_key(owner)
        self._control_id = b"0-0"

    async def load(self, log: TurnLog) -> None:
        """Feed `log` all that Redis has of its turn; an unreachable Redis has nothing."""
        try:
            entries: Any = await self._quick.xrange(turn_key(log.ref.turn_id))
        except (RedisError, OSError):
            return
        for _entry_id, fields in entries:
            _feed(log, fields)

    async def watch(self, log: TurnLog) -> None:
        """Feed `log` from now on. What came since `load` is read again and known by its seq."""
        self._watched[turn_key(log.ref.turn_id)] = (log, b"%d-0" % (log.last_seq + 1))
        try:
            await speak_to(self._quick, self._control, {b"wake": b""})
        except (RedisError, OSError):
            logger.warning(
                "Redis is away: answers of other processes are read from the database, seconds"
                " late. See to the Redis of REDIS_URL."
            )

    def unwatch(self, turn_id: UUID) -> None:
        self._watched.pop(turn_key(turn_id), None)

    async def keep_reading(self) -> None:
        while True:
            try:
                await self._read_once()
            except (RedisError, OSError):
                await asyncio.sleep(1)
            except Exception:  # a bug of ours must not end the mirror for all turns
                logger.exception(
                    "A bug of Parley's: answers of other processes were not read from Redis, and"
                    " are read on in a second. Please report what follows."
                )
                await asyncio.sleep(1)

    async def _read_once(self) -> None:
        streams: dict[Any, Any] = {key: last for key, (_log, last) in self._watched.items()}
        streams[self._control] = self._control_id
        answer: Any = await self._patient.xread(streams, block=BLOCK_SECONDS * 1_000, count=500)
        for key, entries in _pairs(answer):
            if key == self._control:
                self._obey(entries)
                continue
            watched = self._watched.get(key)
            if watched is None:
                continue
            for _entry_id, fields in entries:
                _feed(watched[0], fields)
            self._watched[key] = (watched[0], entries[-1][0])
            if watched[0].ended:
                del self._watched[key]

    def _obey(self, entries: list[Any]) -> None:
        for entry_id, fields in entries:
            self._control_id = entry_id
            if raw := fields.get(STOP):
                self._on_stop(UUID(bytes=raw))


def _pairs(answer: Any) -> list[tuple[bytes, list[Any]]]:
    """XREAD's answer in either protocol version (RESP2: pairs, RESP3: a map of lists)."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [
            (key, entries[0] if entries and isinstance(entries[0], list) else entries)
            for key, entries in answer.items()
        ]
    return [(key, entries) for key, entries in answer]


def _feed(log: TurnLog, fields: dict[bytes, bytes]) -> None:
    """Append the events of one entry that `log` does not have yet."""
    for line in fields[LINES].split(b"\n"):
        body = orjson.loads(line)
        event = Event(body["seq"], body["type"], line)
        if log.ended:
            return
        if event.type == events.SNAPSHOT:
            if event.seq > log.last_seq:
                log.replace(event.seq, body["content"], body.get("reasoning", ""))
        elif event.is_end:
            log.finish(event)
        elif event.seq == 0 and log.start is None:
            log.begin(event)
        elif event.seq == log.last_seq + 1:
            log.accept(event, body["content"], body.get("reasoning", ""))
        # A gap: entries were lost with Redis. The owner's next snapshot, or the next look at
        # the row, brings this log forward.
