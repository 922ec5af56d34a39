"""Is everything there that Parley stands on? (R10)

Every look is bounded, kept for two seconds, and shared by all who ask meanwhile, so that no number
of callers makes more than one query in that time. Answers name the check, never what it met.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from channels.layers import get_channel_layer
from django.conf import settings
from django.core.cache import cache

from common import disk, schema_state
from common.db import in_thread

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None]]

JOBS_SEEN = "jobs-seen"
JOBS_SILENT_SECONDS = 90

DISK_LOW = "disk_low"

_FAILS = "The check %s of /health fails: %s. %s"
# By what ails, or by the check where that has no name.
_TO_DO = {
    DISK_LOW: "Make room on the disk.",
    schema_state.BEHIND: "Run manage.py migrate.",
    schema_state.AHEAD: "A newer Parley changed the database: install that version.",
    "database": "See to the database (DATABASE_URL), and to the room on its disk.",
    "cache": "See to the Redis of REDIS_URL.",
    "channel_layer": "See to the Redis of REDIS_URL.",
    "jobs": "See to the worker and the beat.",
}

registered: dict[str, Check] = {}


class Ailing(Exception):
    """What is wrong has a name, which stands in the answer in place of `failing`."""


def health_check(name: str) -> Callable[[Check], Check]:
    """Register an async function that raises when what it looks at is not well."""

    def register(check: Check) -> Check:
        registered[name] = check
        return check

    return register


class Health:
    """The last look of this process, and the one that is under way."""

    def __init__(self) -> None:
        self._results: dict[str, str] = {}
        self._looked_at = -float("inf")
        self._look: asyncio.Task[dict[str, str]] | None = None

    async def checks(self) -> dict[str, str]:
        """Each check's name with `ok`, or `failing`, or what it is called that ails; at most
        HEALTH_CACHE_SECONDS old."""
        if time.monotonic() - self._looked_at < settings.HEALTH_CACHE_SECONDS:
            return self._results
        if self._look is None or self._look.get_loop() is not asyncio.get_running_loop():
            self._look = asyncio.create_task(self._run())
        return await asyncio.shield(self._look)

    def forget(self) -> None:
        """Look anew at the next question."""
        self._looked_at, self._look = -float("inf"), None

    async def _run(self) -> dict[str, str]:
        try:
            results = await asyncio.gather(*(_ask(name) for name in registered))
            self._results = dict(zip(registered, results, strict=True))
            self._looked_at = time.monotonic()
            return self._results
        finally:
            self._look = None


async def _ask(name: str) -> str:
    try:
        async with asyncio.timeout(settings.HEALTH_CHECK_SECONDS):
            await registered[name]()
    except Ailing as found:
        logger.warning(_FAILS, name, found, _TO_DO.get(str(found), ""))
        return str(found)
    except Exception as exc:  # noqa: BLE001 whatever it is, the check failed
        logger.warning(_FAILS, name, type(exc).__name__, _TO_DO.get(name, ""))
        return "failing"
    return "ok"


@health_check("database")
async def _database() -> None:
    """Does it answer, does it fit the code, has it room?"""

    def ask() -> None:
        verdict = schema_state.state().verdict
        if verdict != schema_state.OK:
            raise Ailing(verdict)
        if disk.is_low():
            raise Ailing(DISK_LOW)

    await in_thread(ask)()


@health_check("cache")
async def _cache() -> None:
    def ask() -> None:
        cache.set("health", True, 10)
        if cache.get("health") is None:
            raise ConnectionError

    await in_thread(ask)()


@health_check("channel_layer")
async def _channel_layer() -> None:
    layer = get_channel_layer()
    if layer is None:
        raise ConnectionError
    await layer.group_send("health", {"type": "health"})


@health_check("jobs")
async def _jobs() -> None:
    """In a server with its own worker, `config.jobs` puts a nearer look in this one's place."""
    if settings.CELERY_TASK_ALWAYS_EAGER:
        return

    def ask() -> None:
        seen = cache.get(JOBS_SEEN)
        if seen is None or time.time() - float(seen) > JOBS_SILENT_SECONDS:
            raise ConnectionError

    await in_thread(ask)()


health = Health()
