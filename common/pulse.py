"""One timer for everything on an event loop that must notice silence or a standstill.

A timer of its own per stream, or a wait with a timeout around every event, costs more than the
events do (seen: 15 % of the tokens).
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Protocol
from weakref import WeakKeyDictionary

BEAT_SECONDS = 1.0


class Beating(Protocol):
    def beat(self, now: float) -> None:
        """Look at the clock (`time` of the loop). Must neither wait nor raise."""


class _Pulse:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.members: set[Beating] = set()
        self.timer: asyncio.TimerHandle | None = None
        # The first member's own would be held for as long as there is any.
        self.context = contextvars.Context()

    def add(self, member: Beating) -> None:
        self.members.add(member)
        if self.timer is None:
            self.set_timer()

    def set_timer(self) -> None:
        self.timer = self.loop.call_later(BEAT_SECONDS, self.tick, context=self.context)

    def tick(self) -> None:
        now = self.loop.time()
        for member in list(self.members):
            member.beat(now)
        self.timer = None
        if self.members:
            self.set_timer()


_pulses: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pulse] = WeakKeyDictionary()


def watch(member: Beating) -> None:
    """Call `member.beat` about once a second, on this loop, until `unwatch`."""
    loop = asyncio.get_running_loop()
    pulse = _pulses.get(loop)
    if pulse is None:
        pulse = _pulses[loop] = _Pulse(loop)
    pulse.add(member)


def unwatch(member: Beating) -> None:
    pulse = _pulses.get(asyncio.get_running_loop())
    if pulse is not None:
        pulse.members.discard(member)
