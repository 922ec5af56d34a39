"""Jobs inside the server: a Celery worker and its beat in threads, so that one process is whole."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from typing import Any
from uuid import uuid4

import redis
from celery import platforms
from celery.beat import Scheduler
from celery.worker import state
from django.conf import settings

from common import lifecycle
from common.health import health_check
from config.celery import EMBEDDED, app

logger = logging.getLogger(__name__)

_BEAT_LOCK = "parley-beat"
_BEAT_LOCK_SECONDS = 30
_LONGEST_NAP_SECONDS = 5
_JOIN_SECONDS = 10
_RENEW = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('expire', KEYS[1], ARGV[2]) end
return redis.call('set', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) and 1 or 0
"""


class OneBeat(Scheduler):
    """A beat that ticks only while it holds the lock, so that several servers make one beat.

    Without Redis there is one server, and nothing to lock.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.token = uuid4().hex
        self.client = (
            redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
            if settings.REDIS_URL
            else None
        )
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        if not self.is_mine():
            return _LONGEST_NAP_SECONDS
        return min(float(super().tick(*args, **kwargs)), _LONGEST_NAP_SECONDS)

    def is_mine(self) -> bool:
        if self.client is None:
            return True
        try:
            held = self.client.eval(_RENEW, 1, _BEAT_LOCK, self.token, str(_BEAT_LOCK_SECONDS))
        except redis.RedisError:
            return False
        return bool(held)


class EmbeddedWorker:
    """Runs the tasks of every app in this process; the database holds what is to be done."""

    def __init__(self) -> None:
        self.worker: Any = None
        self.threads: list[threading.Thread] = []
        self.stopping = threading.Event()

    def start(self) -> None:
        # Its fear is pickle; here messages are JSON (D3).
        warnings.filterwarnings("ignore", category=platforms.SecurityWarning)  # type: ignore[attr-defined]
        self.worker = app.Worker(
            pool="threads",
            concurrency=4,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            hostname=f"{EMBEDDED}{uuid4().hex[:8]}",
            loglevel="WARNING",
            quiet=True,
        )
        self.threads = [
            threading.Thread(target=run, name=f"jobs-{name}", daemon=True)
            for name, run in (("worker", self.worker.start), ("beat", self._beat))
        ]
        for thread in self.threads:
            thread.start()

    def _beat(self) -> None:
        scheduler = OneBeat(app=app)
        pause = 0.0
        while not self.stopping.wait(pause):
            try:
                pause = scheduler.tick()
            except Exception:  # the broker is away: the next tick may have it back
                logger.exception(
                    "The beat could not tell what is due, and tries again in a second. "
                    "If Redis (REDIS_URL) is up, or none is used, please report what follows."
                )
                pause = 1

    def is_alive(self) -> bool:
        return bool(self.threads) and all(thread.is_alive() for thread in self.threads)

    def stop(self) -> None:
        """Finish running tasks, take no new ones. Blocks: call it in a thread."""
        self.stopping.set()
        # A worker without a broker looks at this between its tries; `stop` alone ends none of them.
        state.should_stop = 0  # type: ignore[assignment]  # an exit status, says Celery
        if self.worker is not None:
            self.worker.stop()
            self.threads[0].join(_JOIN_SECONDS)


def run_here() -> None:
    """Have this process work through the jobs, and /health look at that very worker."""
    worker = EmbeddedWorker()

    async def start() -> None:
        await asyncio.to_thread(worker.start)

    async def stop() -> None:
        await asyncio.to_thread(worker.stop)

    async def look() -> None:
        if not worker.is_alive():
            raise ConnectionError

    lifecycle.on_startup(start)
    lifecycle.on_shutdown(stop)
    health_check("jobs")(look)
