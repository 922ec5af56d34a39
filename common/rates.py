"""Rate limits (R1, R3): exact under concurrency, in Redis or, without it, in this process.

What was counted for a request is told in its answer by the fields `RateLimit-Policy` and
`RateLimit` (draft-ietf-httpapi-ratelimit-headers), from what the count itself brought along.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.errors import StorageError

from common.errors import RateLimited
from common.rate_windows import MemoryWindows, RedisWindows, Taken

logger = logging.getLogger(__name__)

_REDIS_REST_SECONDS = 2.0
_redis_rests_until = 0.0

# What callers are told of, by the name it has there. Nothing is told of the others: who asked for
# a new password, or how often, is nobody's business.
_TOLD = {
    "api_user": "api",
    "api_anonymous": "api",
    "api_key": "key",
    "turns_user": "turns",
}


class Counted(NamedTuple):
    """A window of a limit after a hit: how many it takes in so many seconds, how many more there
    may be now, and in how many seconds the oldest leaves it."""

    policy: str
    quota: int
    seconds: int
    remaining: int
    resets_in: int


_counted: ContextVar[dict[str, Counted] | None] = ContextVar("counted", default=None)


def begin() -> dict[str, Counted]:
    """What is counted for the request that begins here, by policy; every thread that works for it
    adds to this one."""
    counted: dict[str, Counted] = {}
    _counted.set(counted)
    return counted


def headers(counted: dict[str, Counted]) -> dict[str, str]:
    """Header fields for what was counted; none for nothing."""
    if not counted:
        return {}
    windows = counted.values()
    return {
        "RateLimit-Policy": ", ".join(
            f'"{each.policy}";q={each.quota};w={each.seconds}' for each in windows
        ),
        "RateLimit": ", ".join(
            f'"{each.policy}";r={each.remaining};t={each.resets_in}' for each in windows
        ),
    }


@functools.cache
def _store(address: str) -> RedisWindows | MemoryWindows:
    """One for each address; `""` is the memory of this process."""
    if not address:
        return MemoryWindows()
    return RedisWindows(
        address,
        wrap_exceptions=True,
        key_prefix="parley-limit",
        socket_timeout=1,
        socket_connect_timeout=1,
    )


def hit(limit_name: str, subject: str) -> None:
    """Count one; raises RateLimited, with the seconds to wait, where a window is full."""
    for item in _items(limit_name):
        key, span = item.key_for(limit_name, subject), item.get_expiry()
        taken: Taken = _ask("take", key, item.amount, span)
        wait = max(0.0, span - taken.age)
        _note(limit_name, item.amount, span, taken, wait)
        if not taken.passed:
            raise RateLimited(retry_after=wait)


def clear(limit_name: str, subject: str) -> None:
    """Forget what was counted."""
    for item in _items(limit_name):
        _ask("clear", item.key_for(limit_name, subject))


def forget_everything() -> None:
    """Empty the store in use; for tests."""
    _store(settings.REDIS_URL).reset()
    _store("").reset()


def _items(limit_name: str) -> list[RateLimitItemPerSecond]:
    return [
        RateLimitItemPerSecond(amount, seconds) for amount, seconds in settings.RATES[limit_name]
    ]


def _note(limit_name: str, quota: int, span: int, taken: Taken, wait: float) -> None:
    """The narrowest of several windows is told."""
    counted, policy = _counted.get(), _TOLD.get(limit_name)
    if counted is None or policy is None:
        return
    told = Counted(policy, quota, span, max(0, quota - taken.number), math.ceil(wait))
    earlier = counted.get(policy)
    if earlier is None or told.remaining <= earlier.remaining:
        counted[policy] = told


def _ask(operation: str, *words: Any) -> Any:
    """The store's answer; Redis that is down rests a moment, and memory answers meanwhile."""
    global _redis_rests_until  # noqa: PLW0603 one process, one Redis
    if settings.REDIS_URL and time.monotonic() >= _redis_rests_until:
        try:
            return getattr(_store(settings.REDIS_URL), operation)(*words)
        except StorageError:
            _redis_rests_until = time.monotonic() + _REDIS_REST_SECONDS
            logger.warning(
                "Redis is away: rate limits count in this process alone. "
                "See to the Redis of REDIS_URL."
            )
    return getattr(_store(""), operation)(*words)
