"""The turn logs in Redis Streams, so that any process can serve any reader.

One stream a turn. An entry holds the events of `TURN_LOG_FLUSH_SECONDS`, one JSON line each,
and its id is `<seq of its last event + 1>-0`: of two writers one is refused. The owner adds with
NOMKSTREAM; when the stream is gone (FLUSHALL) or a write had failed, it begins with a snapshot.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from chat.streams import events
from chat.streams.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat.streams.events import TurnRef
    from chat.streams.log import TurnLog

logger = structlog.get_logger(__name__)

_LINES = b"e"
_STOP = b"stop"
_END_TRIES = 3
_BLOCK_SECONDS = 5
# How Redis refuses an id that is not above the last; its other refusals pass.
_TAKEN = "equal or smaller"


class _Outgoing:
    """How far one of our logs has been written to Redis."""

    __slots__ = ("foreign", "log", "seq", "whole")

    def __init__(self, log: TurnLog) -> None:
        self.log = log
        self.seq = -1
        self.whole = True  # the next entry may create the stream
        self.foreign = False  # somebody else ended this turn


class Mirror:
    """Writes this process's logs to Redis and feeds the followed ones from it."""

    def __init__(self, url: str, owner: str, *, on_stop: Callable[[UUID], None]) -> None:
        # Two clients: one may block for seconds in XREAD, the other never waits long.
        self._writer: Redis = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._reader: Redis = Redis.from_url(
            url, socket_timeout=2 * _BLOCK_SECONDS, socket_connect_timeout=2
        )
        self._on_stop = on_stop
        self._outgoing: dict[UUID, _Outgoing] = {}
        self._dirty: set[UUID] = set()
        self._ends: list[tuple[TurnRef, Callable[[int], Event], TurnLog | None]] = []
        self._work = asyncio.Event()
        self._watched: dict[bytes, tuple[TurnLog, bytes]] = {}
        self._control = _control_key(owner)
        self._control_id = b"0-0"
        self._tasks = [
            asyncio.create_task(self._keep_writing()),
            asyncio.create_task(self._keep_reading()),
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
            await self._flush()
        except (RedisError, OSError):
            logger.warning("mirror_unreachable_at_close")
        await self._writer.aclose()
        await self._reader.aclose()

    # -- writing ---------------------------------------------------------------------------
    def mark(self, log: TurnLog) -> None:
        """`log` has events that Redis lacks."""
        if log.ref.turn_id not in self._outgoing:
            self._outgoing[log.ref.turn_id] = _Outgoing(log)
        self._dirty.add(log.ref.turn_id)
        self._work.set()

    def mark_end(
        self, ref: TurnRef, end: Callable[[int], Event], whole: TurnLog | None = None
    ) -> None:
        """A turn that another process runs was ended here: its readers everywhere must hear.

        `whole` is what was stored of it, if that goes by other numbers than the stream.
        """
        self._ends.append((ref, end, whole))
        self._work.set()

    async def request_stop(self, owner: str, turn_id: UUID) -> None:
        """Ask the process `owner` to stop a turn at once; its checkpoint would ask within 1 s."""
        key = _control_key(owner)
        await self._writer.xadd(key, {_STOP: turn_id.bytes}, maxlen=1000, approximate=True)
        await self._writer.expire(key, settings.TURN_LOG_REDIS_SECONDS)

    async def _keep_writing(self) -> None:
        while True:
            await self._work.wait()
            await asyncio.sleep(settings.TURN_LOG_FLUSH_SECONDS)
            self._work.clear()
            try:
                await self._flush()
            except (RedisError, OSError):
                self._begin_anew()
                await asyncio.sleep(1)
            except Exception:  # a bug of ours must not end the mirror for all turns
                logger.exception("mirror_not_written")
                self._begin_anew()
                await asyncio.sleep(1)

    def _begin_anew(self) -> None:
        """A write failed: every log still worth it goes out from a snapshot."""
        oldest = time.monotonic() - settings.TURN_LOG_SECONDS
        for turn_id, outgoing in list(self._outgoing.items()):
            outgoing.whole = True
            if outgoing.log.ended_at is not None and outgoing.log.ended_at < oldest:
                del self._outgoing[turn_id]
        self._dirty.update(self._outgoing)
        self._work.set()

    async def _flush(self) -> None:
        batch = [self._outgoing[turn_id] for turn_id in self._dirty if turn_id in self._outgoing]
        self._dirty.clear()
        batch = [outgoing for outgoing in batch if not outgoing.foreign]
        if batch:
            await self._write(batch)
        ends, self._ends = self._ends, []
        try:
            while ends:
                await self._write_end(*ends[0])
                ends.pop(0)
        finally:
            self._ends = ends + self._ends

    async def _write(self, batch: list[_Outgoing]) -> None:
        pipe = self._writer.pipeline(transaction=False)
        sent: list[tuple[_Outgoing, int]] = []
        for outgoing in batch:
            log = outgoing.log
            entry = log.after(outgoing.seq)
            if outgoing.whole and outgoing.seq >= 0:
                entry = log.summary()
            if not entry:
                continue
            _add(pipe, log.ref.turn_id, entry, create=outgoing.whole)
            if outgoing.whole or entry[-1].is_end:
                pipe.expire(_key(log.ref.turn_id), settings.TURN_LOG_REDIS_SECONDS)
                sent += [(outgoing, entry[-1].seq), (outgoing, -1)]
            else:
                sent.append((outgoing, entry[-1].seq))
        answers = await pipe.execute(raise_on_error=False)
        for (outgoing, seq), answer in zip(sent, answers, strict=True):
            if seq >= 0:
                self._written(outgoing, seq, answer)

    def _written(self, outgoing: _Outgoing, seq: int, answer: Any) -> None:
        turn_id = outgoing.log.ref.turn_id
        if isinstance(answer, ResponseError) and _TAKEN in str(answer):
            # Another process wrote the end. Our end comes by the row.
            outgoing.foreign = not outgoing.whole
            outgoing.whole = False
            outgoing.seq = seq
        elif isinstance(answer, Exception):
            raise answer
        elif answer is None:
            outgoing.whole = True
            self._dirty.add(turn_id)
            self._work.set()
            return
        else:
            outgoing.whole = False
            outgoing.seq = seq
        if outgoing.foreign or (outgoing.log.ended and outgoing.seq >= outgoing.log.last_seq):
            self._outgoing.pop(turn_id, None)

    async def _write_end(
        self, ref: TurnRef, end: Callable[[int], Event], whole: TurnLog | None
    ) -> None:
        """Append the end after whatever is last. While the owner writes on, its entries win."""
        key = _key(ref.turn_id)
        for _try in range(_END_TRIES):
            last: Any = await self._writer.xrevrange(key, count=1)
            if not last:
                return
            seq = int(last[0][0].split(b"-")[0])
            lines = []
            if whole is not None and whole.last_seq >= seq:
                lines = [event.data for event in whole.summary() if event.seq >= seq]
                seq = whole.last_seq + 1
            entry: Any = {_LINES: b"\n".join([*lines, end(seq).data])}
            try:
                await self._writer.xadd(key, entry, id=f"{seq + 1}-0", nomkstream=True)
            except ResponseError:
                continue
            await self._writer.expire(key, settings.TURN_LOG_REDIS_SECONDS)
            return
        # The readers' own look at the row brings them the end.
        logger.info("mirror_end_refused", turn=str(ref.turn_id))

    # -- reading ---------------------------------------------------------------------------
    async def load(self, log: TurnLog) -> None:
        """Feed `log` all that Redis has of its turn; an unreachable Redis has nothing."""
        try:
            entries: Any = await self._writer.xrange(_key(log.ref.turn_id))
        except (RedisError, OSError):
            return
        for _entry_id, fields in entries:
            _feed(log, fields)

    async def watch(self, log: TurnLog) -> None:
        """Feed `log` from now on. What came since `load` is read again and known by its seq."""
        self._watched[_key(log.ref.turn_id)] = (log, b"%d-0" % (log.last_seq + 1))
        try:
            await self._writer.xadd(self._control, {b"wake": b""}, maxlen=1000, approximate=True)
        except (RedisError, OSError):
            logger.warning("mirror_unreachable")

    def unwatch(self, turn_id: UUID) -> None:
        self._watched.pop(_key(turn_id), None)

    async def _keep_reading(self) -> None:
        while True:
            try:
                await self._read_once()
            except (RedisError, OSError):
                await asyncio.sleep(1)
            except Exception:  # a bug of ours must not end the mirror for all turns
                logger.exception("mirror_not_read")
                await asyncio.sleep(1)

    async def _read_once(self) -> None:
        streams: dict[Any, Any] = {key: last for key, (_log, last) in self._watched.items()}
        streams[self._control] = self._control_id
        answer: Any = await self._reader.xread(streams, block=_BLOCK_SECONDS * 1_000, count=500)
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
            if raw := fields.get(_STOP):
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


def _key(turn_id: UUID) -> bytes:
    return b"parley:turn:" + turn_id.hex.encode()


def _control_key(owner: str) -> bytes:
    return b"parley:runner:" + owner.encode()


def _add(pipe: Any, turn_id: UUID, entry: list[Event], *, create: bool) -> None:
    lines = b"\n".join(event.data for event in entry)
    # The client's own `xadd` takes longer to put this together than to send it.
    pipe.execute_command(
        "XADD",
        _key(turn_id),
        *(() if create else ("NOMKSTREAM",)),
        "MAXLEN",
        "~",
        settings.TURN_LOG_REDIS_ENTRIES,
        f"{entry[-1].seq + 1}-0",
        _LINES,
        lines,
    )


def _feed(log: TurnLog, fields: dict[bytes, bytes]) -> None:
    """Append the events of one entry that `log` does not have yet."""
    for line in fields[_LINES].split(b"\n"):
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
