"""The open sockets of this process, counted by whom they belong to (W7, W8)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Protocol
from uuid import UUID

from django.conf import settings

from common.metrics import active_sockets


class Socket(Protocol):
    """What can be closed, and told apart from others."""

    def finish(self, code: int) -> None: ...


class Bucket:
    """So many a second on average, with a burst."""

    __slots__ = ("_at", "_left", "burst", "rate")

    def __init__(self, *, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left = burst
        self._at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Sockets:
    """Every socket from its handshake on; those of a person in the order they came."""

    def __init__(self) -> None:
        self.total = 0
        self._of: dict[UUID, dict[Socket, None]] = {}
        self._refused: Counter[str] = Counter()
        self._frames: dict[UUID, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[Socket]:
        """The signed-in ones."""
        for sockets_of_one in list(self._of.values()):
            yield from list(sockets_of_one)

    def of(self, user_id: UUID) -> list[Socket]:
        return list(self._of.get(user_id, ()))

    def enter(self) -> None:
        self.total += 1
        active_sockets.inc()

    def leave(self) -> None:
        self.total -= 1
        active_sockets.dec()

    def add(self, user_id: UUID, socket: Socket) -> Socket | None:
        """Count `socket` for its person; the answer is the oldest one, if it must go for it."""
        mine = self._of.setdefault(user_id, {})
        mine[socket] = None
        if len(mine) <= settings.SOCKETS_PER_USER:
            return None
        oldest = next(iter(mine))
        del mine[oldest]
        return oldest

    def discard(self, user_id: UUID, socket: Socket) -> None:
        mine = self._of.get(user_id)
        if mine is None:
            return
        mine.pop(socket, None)
        if not mine:
            del self._of[user_id]
            self._frames.pop(user_id, None)

    def admits_frame(self, user_id: UUID) -> bool:
        """Count a frame of this person; False when the second has had too many."""
        second = int(time.monotonic())
        at, count = self._frames.get(user_id, (second, 0))
        count = count + 1 if at == second else 1
        self._frames[user_id] = (second, count)
        return count <= settings.SOCKET_USER_FRAMES_PER_SECOND

    def admits_stranger(self, address: str) -> bool:
        """Count a refused socket of this address until `forget_stranger`; False when too many."""
        if self._refused[address] >= settings.SOCKETS_ANONYMOUS_PER_ADDRESS:
            return False
        self._refused[address] += 1
        return True

    def forget_stranger(self, address: str) -> None:
        self._refused[address] -= 1
        if self._refused[address] <= 0:
            del self._refused[address]


sockets = Sockets()
