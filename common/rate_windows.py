"""Moving windows of rate limits, in this process's memory and in Redis."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import NamedTuple

from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage

_SWEEP_SECONDS = 60.0

# `limits`' own script, which also tells how many there are and when the oldest of them came. The
# newest is first; a search finds the last that is still within, so that no list is read whole.
_TAKE = """
local now, limit, span = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local last = limit > 0 and redis.call('lindex', KEYS[1], limit - 1)
local passed = limit > 0 and not (last and tonumber(last) >= now - span)
if passed then
  redis.call('lpush', KEYS[1], ARGV[1])
  redis.call('ltrim', KEYS[1], 0, limit - 1)
  redis.call('expire', KEYS[1], span)
end
local low, high = 0, redis.call('llen', KEYS[1])
while low < high do
  local middle = math.floor((low + high) / 2)
  if tonumber(redis.call('lindex', KEYS[1], middle)) >= now - span then
    low = middle + 1
  else
    high = middle
  end
end
return {passed and 1 or 0, low, low > 0 and redis.call('lindex', KEYS[1], low - 1) or ARGV[1]}
"""


class Taken(NamedTuple):
    """What came of a hit: did it have room, how many are in the window now, and how old, in
    seconds, is the oldest of them."""

    passed: bool
    number: int
    age: float


class RedisWindows(RedisStorage):
    """`limits`' Redis, which tells of a window in the round trip that counts."""

    def initialize_storage(self, _uri: str) -> None:
        super().initialize_storage(_uri)
        self._take = self.get_connection().register_script(_TAKE.encode())

    def take(self, key: str, limit: int, expiry: int) -> Taken:
        """Raises StorageError."""
        now = time.time()
        try:
            passed, number, oldest = self._take([self.prefixed_key(key)], [now, limit, expiry])
        except self.base_exceptions as error:
            raise StorageError(error) from error
        return Taken(bool(passed), int(number), max(0.0, now - float(oldest)))


class MemoryWindows(MemoryStorage):
    """`limits`' memory with a queue of times for each window.

    Its own starts a thread at nearly every hit, and moves a list as long as the window each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._hits: dict[str, tuple[int, deque[float]]] = {}
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS

    def take(self, key: str, limit: int, expiry: int) -> Taken:
        # A clock that is set back must not keep a full window full (F17).
        now = time.monotonic()
        with self._guard:
            if now >= self._sweep_at:
                self._sweep(now)
            hits = self._within(key, expiry, now)
            passed = len(hits) < limit
            if passed:
                hits.append(now)
            return Taken(passed, len(hits), now - hits[0] if hits else 0.0)

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
