"""Rate limits (R1, R3): exact under concurrency, in Redis or, without it, in this process."""

from __future__ import annotations

import functools
import logging
import time
from typing import Any

from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import RedisStorage, Storage
from limits.strategies import MovingWindowRateLimiter

from common.errors import RateLimited
from common.windows import Windows

logger = logging.getLogger(__name__)

_REDIS_REST_SECONDS = 2.0
_redis_rests_until = 0.0


@functools.cache
def _limiter(address: str) -> MovingWindowRateLimiter:
    """One per store; `""` is the memory of this process."""
    store: Storage = (
        RedisStorage(
            address,
            wrap_exceptions=True,
            key_prefix="parley-limit",
            socket_timeout=1,
            socket_connect_timeout=1,
        )
        if address
        else Windows()
    )
    return MovingWindowRateLimiter(store)


def hit(limit_name: str, subject: str) -> None:
    """Count one; raises RateLimited, with the seconds to wait, where a window is full."""
    for item in _items(limit_name):
        if not _ask("hit", item, limit_name, subject):
            raise RateLimited(retry_after=_wait(item, limit_name, subject))


def clear(limit_name: str, subject: str) -> None:
    """Forget what was counted."""
    for item in _items(limit_name):
        _ask("clear", item, limit_name, subject)


def forget_everything() -> None:
    """Empty the store in use; for tests."""
    _limiter(settings.REDIS_URL).storage.reset()
    _limiter("").storage.reset()


def _items(limit_name: str) -> list[RateLimitItemPerSecond]:
    return [
        RateLimitItemPerSecond(amount, seconds) for amount, seconds in settings.RATES[limit_name]
    ]


def _wait(item: RateLimitItemPerSecond, limit_name: str, subject: str) -> float:
    reset_time: float = _ask("get_window_stats", item, limit_name, subject)[0]
    return max(0.0, reset_time - time.time())


def _ask(operation: str, item: RateLimitItemPerSecond, *subject: str) -> Any:
    """The store's answer; Redis that is down rests a moment, and memory answers meanwhile."""
    global _redis_rests_until  # noqa: PLW0603 one process, one Redis
    if settings.REDIS_URL and time.monotonic() >= _redis_rests_until:
        try:
            return getattr(_limiter(settings.REDIS_URL), operation)(item, *subject)
        except StorageError:
            _redis_rests_until = time.monotonic() + _REDIS_REST_SECONDS
            logger.warning("Redis is away: rate limits count in this process for a moment.")
    return getattr(_limiter(""), operation)(item, *subject)
