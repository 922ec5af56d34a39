"""The log of one turn in this process: appended once, read from any position by anyone."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chat.streams import events

if TYPE_CHECKING:
    from chat.streams.events import Event, TurnRef


class TurnLog:
    """Events in order of `seq`, without a gap; old ones may be trimmed, their text is kept.

    Appending happens on one loop; readers may live on any loop. A reader that is too far behind
    gets one `snapshot` in place of what was trimmed. Nothing comes after the end: an owner whose
    turn somebody else ended writes on for up to a second.
    """

    __slots__ = (
        "_base",
        "_content",
        "_events",
        "_lock",
        "_reasoning",
        "_waiters",
        "ended_at",
        "last_seq",
        "readers",
        "ref",
        "shared",
        "size",
        "start",
        "touched_at",
        "was_read",
    )

    def __init__(self, ref: TurnRef, *, shared: bool = True) -> None:
        self.ref = ref
        self.shared = shared  # with other processes
        self.start: Event | None = None
        self.last_seq = -1
        self.size = 0
        self.ended_at: float | None = None
        self.readers = 0
        self.was_read = False  # by anybody, be it for a moment
        self.touched_at = time.monotonic()
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._events: list[Event] = []
        self._base = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    @property
    def content(self) -> str:
        """The whole text so far."""
        with self._lock:
            return _joined(self._content)

    @property
    def reasoning(self) -> str:
        """The whole reasoning so far."""
        with self._lock:
            return _joined(self._reasoning)

    def begin(self, event: Event) -> None:
        with self._lock:
            if self.ended:
                return
            self.start = event
            self._push(event)
        self._wake()

    def add(self, content: str, *, reasoning: str = "", **more: Any) -> None:
        """Append text as the next `chat_chunk`; `more` is what else may stand in one."""
        seq = self.last_seq + 1
        event = events.chunk(self.ref.message_id, seq, content, reasoning=reasoning, **more)
        self.accept(event, content, reasoning)

    def accept(self, event: Event, content: str, reasoning: str) -> None:
        """Append a chunk that was numbered already, here or in another process."""
        with self._lock:
            if self.ended_at is not None:
                return
            if content:
                self._content.append(content)
            if reasoning:
                self._reasoning.append(reasoning)
            self._push(event)
        if self._waiters:
            self._wake()

    def replace(self, seq: int, content: str, reasoning: str) -> None:
        """Go on from a snapshot: everything up to `seq` is `content`."""
        with self._lock:
            if self.ended:
                return
            self._content, self._reasoning = [content], [reasoning]
            self._events = []
            self.size = len(content)
            self._base = seq + 1
            self.last_seq = seq
        self._wake()

    def finish(self, event: Event) -> None:
        """Append the end. What comes after an end is dropped: there is one."""
        with self._lock:
            if self.ended:
                return
            self._push(event)
            self.ended_at = time.monotonic()
        self._wake()

    def trim(self) -> None:
        """Forget the older half of the events; readers behind them get a snapshot."""
        with self._lock:
            half = len(self._events) // 2
            self.size -= sum(len(event.data) for event in self._events[:half])
            self._events = self._events[half:]
            self._base += half

    def after(self, seq: int) -> list[Event]:
        """What a reader that has everything up to `seq` lacks; -1 is the very start."""
        with self._lock:
            if seq >= self.last_seq:
                return []
            first = seq + 1
            if first >= self._base:
                return self._events[first - self._base :]
            return [event for event in self._summary() if event.seq > seq]

    def summary(self) -> list[Event]:
        """Everything so far in the fewest events: the start, one snapshot, the end."""
        with self._lock:
            return self._summary()

    def end_event(self) -> Event | None:
        with self._lock:
            return self._events[-1] if self.ended else None

    async def changed(self, seq: int) -> None:
        """Wait until there is something after `seq`."""
        waiter = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.last_seq > seq or self.ended:
                return
            self._waiters.append(waiter)
        await waiter

    def _push(self, event: Event) -> None:
        self._events.append(event)
        self.last_seq = event.seq
        self.size += len(event.data)

    def _summary(self) -> list[Event]:
        tail = self._events[-1:] if self.ended else []
        upto = self.last_seq - len(tail)
        lead = [self.start] if self.start else []
        if upto <= 0:
            return [*lead, *tail]
        content, reasoning = _joined(self._content), _joined(self._reasoning)
        whole = events.snapshot(self.ref.message_id, upto, content, reasoning=reasoning)
        return [*lead, whole, *tail]

    def _wake(self) -> None:
        if not self._waiters:
            return
        with self._lock:
            waiters, self._waiters = self._waiters, []
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        for waiter in waiters:
            loop = waiter.get_loop()
            if loop is here:
                _resolve(waiter)
            else:
                with suppress(RuntimeError):  # that loop is gone, and its reader with it
                    loop.call_soon_threadsafe(_resolve, waiter)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _joined(parts: list[str]) -> str:
    """The parts as one string; they are replaced by it, so that the next time is cheap."""
    if len(parts) > 1:
        parts[:] = ["".join(parts)]
    return parts[0] if parts else ""
