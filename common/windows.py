"""Moving windows of rate limits in this process's memory."""

from __future__ import annotations

import threading
import time
from collections import deque

from limits.storage import MemoryStorage

_SWEEP_SECONDS = 60.0


class Windows(MemoryStorage):
    """`limits`' memory with a queue of times for each window.

    Its own starts a thread at nearly every hit, and moves a list as long as the window each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._hits: dict[str, tuple[int, deque[float]]] = {}
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        # A clock that is set back must not keep a full window full (F17).
        now = time.monotonic()
        with self._guard:
            if now >= self._sweep_at:
                self._sweep(now)
            hits = self._within(key, expiry, now)
            if len(hits) + amount > limit:
                return False
            hits.extend([now] * amount)
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When it began, by the wall clock as `limits` wants it, and how many there were."""
        now = time.monotonic()
        with self._guard:
            hits = self._within(key, expiry, now)
            age = now - hits[0] if hits else 0.0
            return time.time() - age, len(hits)

    def clear(self, key: str) -> None:
        with self._guard:
            self._hits.pop(key, None)

    def reset(self) -> int | None:
        with self._guard:
            count = len(self._hits)
            self._hits.clear()
        return count

    def _within(self, key: str, expiry: int, now: float) -> deque[float]:
        _expiry, hits = self._hits.setdefault(key, (expiry, deque()))
        while hits and hits[0] < now - expiry:
            hits.popleft()
        return hits

    def _sweep(self, now: float) -> None:
        """Forget who was not heard of for a whole window."""
        self._sweep_at = now + _SWEEP_SECONDS
        for key, (expiry, hits) in list(self._hits.items()):
            if not hits or hits[-1] < now - expiry:
                del self._hits[key]
