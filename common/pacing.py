"""Answers that leave later than they are ready; no thread and no connection waits with them."""

from __future__ import annotations

from asyncio import sleep
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """How many seconds the answer to one request is held back."""

    seconds: float = 0.0

    async def keep(self) -> None:
        """Wait as long, on the event loop."""
        if self.seconds:
            await sleep(self.seconds)


_pace: ContextVar[Pace | None] = ContextVar("pace", default=None)


def begin() -> Pace:
    """The pace of the request that begins here; every thread that works for it sees this one."""
    pace = Pace()
    _pace.set(pace)
    return pace


def hold_back(seconds: float) -> None:
    """Whatever the answer to this request is, it leaves so much later.

    Outside a request nobody waits for an answer, and nothing happens.
    """
    pace = _pace.get()
    if pace is not None:
        pace.seconds = max(pace.seconds, seconds)
