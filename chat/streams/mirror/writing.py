"""What this process has to say in Redis: the logs of its own turns, ends, requests to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from redis.exceptions import RedisError, ResponseError

from chat.streams.events import Event, TurnRef
from chat.streams.log import TurnLog
from chat.streams.mirror.keys import LINES, STOP, control_key, speak_to, turn_key

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = structlog.get_logger(__name__)

_END_TRIES = 3
# How long the end of a deleted answer stands alone for those who were reading it.
_TOLD_SECONDS = 10
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


class _End(NamedTuple):
    """The end of a turn of another process, made here at `made_at` (monotonic seconds)."""

    ref: TurnRef
    event: Callable[[int], Event]
    whole: TurnLog | None
    made_at: float


class Writer:
    """Gathers what is new for `TURN_LOG_FLUSH_SECONDS`, and makes up for what failed."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._outgoing: dict[UUID, _Outgoing] = {}
        self._dirty: set[UUID] = set()
        self._ends: list[_End] = []
        self._work = asyncio.Event()

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
        self._ends.append(_End(ref, end, whole, time.monotonic()))
        self._work.set()

    async def request_stop(self, owner: str, turn_id: UUID) -> None:
        """Ask the process `owner` to stop a turn at once; its checkpoint would ask within 1 s."""
        await speak_to(self._redis, control_key(owner), {STOP: turn_id.bytes})

    async def keep_writing(self) -> None:
        while True:
            await self._work.wait()
            await asyncio.sleep(settings.TURN_LOG_FLUSH_SECONDS)
            self._work.clear()
            try:
                await self.flush()
            except (RedisError, OSError):
                self._begin_anew()
                await asyncio.sleep(1)
            except Exception:  # a bug of ours must not end the mirror for all turns
                logger.exception(
                    "A bug of Parley's: answers did not get to Redis, and are written anew in a"
                    " second. Please report what follows."
                )
                self._begin_anew()
                await asyncio.sleep(1)

    def _begin_anew(self) -> None:
        """A write failed: every log still worth it goes out from a snapshot, every end as it is."""
        oldest = time.monotonic() - settings.TURN_LOG_SECONDS
        for turn_id, outgoing in list(self._outgoing.items()):
            outgoing.whole = True
            if outgoing.log.ended_at is not None and outgoing.log.ended_at < oldest:
                del self._outgoing[turn_id]
        self._ends = [each for each in self._ends if each.made_at >= oldest]
        self._dirty.update(self._outgoing)
        self._work.set()

    async def flush(self) -> None:
        batch = [self._outgoing[turn_id] for turn_id in self._dirty if turn_id in self._outgoing]
        self._dirty.clear()
        batch = [outgoing for outgoing in batch if not outgoing.foreign]
        if batch:
            await self._write(batch)
        # Those that come meanwhile wait for what their own turns' logs have to say first.
        for end in list(self._ends):
            await self._write_end(end)
            self._ends.remove(end)

    async def _write(self, batch: list[_Outgoing]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        sent: list[tuple[_Outgoing, int]] = []
        for outgoing in batch:
            log = outgoing.log
            entry = log.after(outgoing.seq)
            if outgoing.whole and outgoing.seq >= 0:
                entry = log.summary()
            if not entry:
                continue
            if entry[-1].forgets:
                _replace(pipe, log.ref.turn_id, entry[-1])
                sent += [(outgoing, -1), (outgoing, entry[-1].seq), (outgoing, -1)]
                continue
            _add(pipe, log.ref.turn_id, entry, create=outgoing.whole)
            if outgoing.whole or entry[-1].is_end:
                pipe.expire(turn_key(log.ref.turn_id), settings.TURN_LOG_REDIS_SECONDS)
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
        elif answer is None and outgoing.log.ended:
            # Its person may have been erased: what is over is read from its row, if there is one.
            outgoing.seq = outgoing.log.last_seq
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

    async def _write_end(self, end: _End) -> None:
        """Append the end after whatever is last. While the owner writes on, its entries win."""
        key, whole = turn_key(end.ref.turn_id), end.whole
        for _try in range(_END_TRIES):
            last: Any = await self._redis.xrevrange(key, count=1)
            if not last:
                return
            seq = int(last[0][0].split(b"-")[0])
            lines = []
            if whole is not None and whole.last_seq >= seq:
                lines = [event.data for event in whole.summary() if event.seq >= seq]
                seq = whole.last_seq + 1
            entry: Any = {LINES: b"\n".join([*lines, end.event(seq).data])}
            try:
                await self._redis.xadd(key, entry, id=f"{seq + 1}-0", nomkstream=True)
            except ResponseError:
                continue
            await self._redis.expire(key, settings.TURN_LOG_REDIS_SECONDS)
            return
        # The readers' own look at the row brings them the end.
        logger.info("The owner of a turn wrote past its end.", turn=str(end.ref.turn_id))


def _replace(pipe: Any, turn_id: UUID, end: Event) -> None:
    """What was written is deleted: nothing of it stays but the word that it is (G4)."""
    pipe.unlink(turn_key(turn_id))
    _add(pipe, turn_id, [end], create=True)
    pipe.expire(turn_key(turn_id), _TOLD_SECONDS)


def _add(pipe: Any, turn_id: UUID, entry: list[Event], *, create: bool) -> None:
    lines = b"\n".join(event.data for event in entry)
    # The client's own `xadd` takes longer to put this together than to send it.
    pipe.execute_command(
        "XADD",
        turn_key(turn_id),
        *(() if create else ("NOMKSTREAM",)),
        "MAXLEN",
        "~",
        settings.TURN_LOG_REDIS_ENTRIES,
        f"{entry[-1].seq + 1}-0",
        LINES,
        lines,
    )
