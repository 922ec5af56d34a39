"""All turn logs of this process: those of its own turns, and those it follows for its readers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from chat.streams.log import TurnLog
from chat.streams.mirror import Mirror
from chat.streams.stored import fill, moved_on, stored_turn
from common.db import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat.streams.events import Event, TurnRef


class Hub:
    """The registry. It lives on the runner's loop; `open` may be called from any thread."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.mirror: Mirror | None = None
        self.own: dict[UUID, TurnLog] = {}
        self.followed: dict[UUID, TurnLog] = {}
        self._left: dict[UUID, TurnLog] = {}
        self._coming: dict[UUID, asyncio.Task[TurnLog]] = {}

    def attach(self, loop: asyncio.AbstractEventLoop, mirror: Mirror | None) -> None:
        """Begin service on `loop`, with Redis behind it or not."""
        self.loop, self.mirror = loop, mirror

    def open(self, ref: TurnRef, start: Event, *, shared: bool = True) -> TurnLog:
        """The log of a turn that this process will run. Readers may come before it begins; to one
        that is not `shared` they come in this process only."""
        log = self.own[ref.turn_id] = TurnLog(ref, shared=shared)
        log.begin(start)
        return log

    def changed(self, log: TurnLog) -> None:
        """`log`, one of ours, has new events: let other processes have them."""
        if self.mirror is not None and log.shared:
            self.mirror.writer.mark(log)
        if log.size > settings.TURN_LOG_BYTES:
            log.trim()

    def let_go(self, log: TurnLog) -> None:
        """Nobody here runs the turn of `log`, one of ours, any more.

        Without an end it waits, like those that we follow, for whoever tends the turn.
        """
        if not log.ended:
            self._left[log.ref.turn_id] = log

    async def follow(self, ref: TurnRef) -> TurnLog:
        """The log of any turn, wherever it runs, or ran."""
        if ref.edited:
            return await self._from_row(ref)
        log = self.own.get(ref.turn_id) or self.followed.get(ref.turn_id)
        if log is not None:
            return log
        here = asyncio.get_running_loop()
        if self.loop is None or self.loop is here:
            return await self._follow(ref)
        coming = asyncio.run_coroutine_threadsafe(self._follow(ref), self.loop)
        return await asyncio.wrap_future(coming)

    async def _follow(self, ref: TurnRef) -> TurnLog:
        """All who come at once share one load: of a reader that leaves meanwhile the others must
        not depend."""
        coming = self._coming.get(ref.turn_id)
        if coming is None:
            coming = asyncio.get_running_loop().create_task(self._load(ref))
            self._coming[ref.turn_id] = coming
            coming.add_done_callback(self._arrived(ref.turn_id))
        return await asyncio.shield(coming)

    def _arrived(self, turn_id: UUID) -> Callable[[asyncio.Task[TurnLog]], None]:
        def forget(done: asyncio.Task[TurnLog]) -> None:
            del self._coming[turn_id]
            if not done.cancelled():
                done.exception()  # told to whoever still waits; nobody else need hear it

        return forget

    async def _load(self, ref: TurnRef) -> TurnLog:
        log = TurnLog(ref)
        if self.mirror is not None:
            await self.mirror.reader.load(log)
        fill(log, await in_thread(stored_turn)(ref))
        if self.mirror is not None and not log.ended:
            await self.mirror.reader.watch(log)
        self.followed[ref.turn_id] = log
        return log

    async def _from_row(self, ref: TurnRef) -> TurnLog:
        log = TurnLog(ref)
        fill(log, await in_thread(stored_turn)(ref))
        return log

    async def look(self) -> None:
        """Turns that we do not run may have moved or ended without a word from Redis."""
        self._left = {key: log for key, log in self._left.items() if not log.ended}
        logs = {**self.followed, **self._left}
        behind = {log.ref: log.last_seq for log in logs.values() if not log.ended}
        if not behind:
            return
        for ref in await in_thread(moved_on)(behind):
            log = logs[ref.turn_id]
            fill(log, await in_thread(stored_turn)(ref))
            if not log.ended:
                continue
            if ref.turn_id in self._left:
                self.changed(log)
            elif self.mirror is not None:
                self.mirror.reader.unwatch(ref.turn_id)

    def end_elsewhere(
        self, ref: TurnRef, end: Callable[[int], Event], *, whole: TurnLog | None = None
    ) -> None:
        """Tell every reader the end of a turn that somebody else than its owner ended.

        Runs on the hub's loop. `end` makes the event with the number after the last one that a
        log has, or that `whole`, what was stored, has; the owner's log ends too if it is here.
        """
        for logs in (self.own, self.followed):
            log = logs.get(ref.turn_id)
            if log is None or log.ended:
                continue
            if whole is not None and whole.last_seq > log.last_seq:
                log.replace(whole.last_seq, whole.content, whole.reasoning)
            log.finish(end(log.last_seq + 1))
        if self.mirror is not None:
            self.mirror.writer.mark_end(ref, end, whole)

    def sweep(self) -> None:
        """Let go of ended logs after a while, of followed ones that nobody reads, of too much."""
        now = time.monotonic()
        for turn_id, log in list(self.own.items()):
            if log.ended_at is not None and now - log.ended_at > settings.TURN_LOG_SECONDS:
                del self.own[turn_id]
        for turn_id, log in list(self.followed.items()):
            if log.readers > 0:
                log.touched_at = now
            elif now - log.touched_at > settings.TURN_LOG_FOLLOW_SECONDS:
                del self.followed[turn_id]
                if self.mirror is not None:
                    self.mirror.reader.unwatch(turn_id)
            if log.size > settings.TURN_LOG_BYTES:
                log.trim()
        self._shrink()

    def _shrink(self) -> None:
        # Copies: request threads open logs meanwhile.
        own = list(self.own.values())
        logs = [*own, *self.followed.values()]
        total = sum(log.size for log in logs)
        if total <= settings.TURN_LOG_PROCESS_BYTES:
            return
        ended = [log for log in own if log.ended_at is not None and not log.readers]
        for log in sorted(ended, key=lambda log: log.ended_at or 0.0):
            del self.own[log.ref.turn_id]
            logs.remove(log)
            total -= log.size
            if total <= settings.TURN_LOG_PROCESS_BYTES:
                return
        for log in sorted(logs, key=lambda log: -log.size):
            before = log.size
            log.trim()
            total -= before - log.size
            if total <= settings.TURN_LOG_PROCESS_BYTES:
                return


hub = Hub()
