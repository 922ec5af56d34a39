"""One server process: a uvicorn that ends politely (F2)."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import structlog
import uvicorn
from django.conf import settings
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries

from chat.turns.runner import runner
from common import lifecycle
from common.metrics import loop_lag_seconds
from common.protocols import HttpProtocol, SocketProtocol
from config import jobs

logger = structlog.get_logger(__name__)

_THREADS = 32
_LAG_STEP_SECONDS = 0.25
_LAG_WINDOW_SECONDS = 10


class Server(uvicorn.Server):
    """SIGTERM: ready turns 503, running turns get their time, then sockets and streams end.

    A second signal, or Ctrl-C, ends what runs at once.
    """

    def __init__(self, config: uvicorn.Config, *, when_started: Callable[[], None]) -> None:
        super().__init__(config)
        self.when_started = when_started
        self.asked_at = 0.0
        self.drain_task: asyncio.Task[None] | None = None
        self.lag_task: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit or sig == signal.SIGINT:
            lifecycle.hurry()
            if self.drain_task is not None:
                self.drain_task.cancel()
        else:
            lifecycle.begin_drain()
        self.asked_at = self.asked_at or time.monotonic()
        if not self.should_exit:
            self._captured_signals.append(sig)
            self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        # Outside requests, database work runs here; asyncio's own six threads are too few.
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="work"))
        await super().startup(sockets)
        self.lag_task = loop.create_task(_measure_lag())
        # What has been made until now stays: collecting it again and again costs tail latency.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        # The loop waits this long for the GIL whenever a request's thread computes; at Python's
        # 5 ms the first tokens of 50 streams at once come 100 ms later than at this.
        sys.setswitchinterval(0.001)
        if self.started:
            self.when_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Not where the signal came in: there it could fall into the middle of another line.
        logger.info("The server drains.", turns=len(runner.turns), seconds=lifecycle.grace())
        await self._drain()
        if not lifecycle.hurried:
            # Balancers have seen that we are not ready before the port refuses them.
            left = settings.SHUTDOWN_PORT_SECONDS - (time.monotonic() - self.asked_at)
            await asyncio.sleep(max(0, left))
        if self.lag_task is not None:
            self.lag_task.cancel()
        await super().shutdown(sockets)
        logger.info("The server has ended.", seconds=round(time.monotonic() - self.asked_at, 1))

    async def _drain(self) -> None:
        while True:
            was_hurried = lifecycle.hurried
            self.drain_task = asyncio.create_task(lifecycle.drain())
            try:
                await self.drain_task
            except asyncio.CancelledError:
                if lifecycle.hurried and not was_hurried:
                    continue  # once more, without grace
                raise
            return


async def _measure_lag() -> None:
    """Set the metric to the worst oversleep of the last seconds (R5)."""
    loop = asyncio.get_running_loop()
    worst, since = 0.0, loop.time()
    while True:
        asked = loop.time()
        await asyncio.sleep(_LAG_STEP_SECONDS)
        worst = max(worst, loop.time() - asked - _LAG_STEP_SECONDS)
        if loop.time() - since > _LAG_WINDOW_SECONDS:
            loop_lag_seconds.set(worst)
            worst, since = 0.0, loop.time()


def run(listener: socket.socket, *, when_started: Callable[[], None]) -> None:
    """Serve on a bound socket until a signal comes."""
    from config.asgi import application  # noqa: PLC0415 loads every app

    # A step of a request gives its connection back by itself (common.threads); these two would
    # cost every request a step of their own.
    request_started.disconnect(close_old_connections)
    request_started.disconnect(reset_queries)
    if settings.EMBEDDED_WORKER:
        jobs.run_here()
    options: dict[str, Any] = {
        "loop": "uvloop",
        "http": HttpProtocol,
        "ws": SocketProtocol,
        "ws_max_size": settings.SOCKET_FRAME_BYTES,
        "ws_per_message_deflate": False,
        "ws_ping_interval": settings.SOCKET_PING_SECONDS,
        "ws_ping_timeout": settings.SOCKET_PONG_SECONDS,
        "timeout_graceful_shutdown": settings.SHUTDOWN_STREAM_SECONDS,
        "proxy_headers": False,  # common.addresses decides whom to believe
        "server_header": False,
        "access_log": False,  # common.middleware writes one line a request
        "log_config": None,
        "lifespan": "on",
        "backlog": 2048,
    }
    server = Server(uvicorn.Config(application, **options), when_started=when_started)
    server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(1)
