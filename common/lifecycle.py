"""What runs when a server process starts, drains and ends; `config.server` calls it.

A hook is an async function without arguments. Start-up hooks run before the server calls itself
ready; drain hooks when SIGTERM came (end turns, at most SHUTDOWN_TURN_SECONDS in all); shutdown
hooks last, when no connection is left. Drain and shutdown run in the reverse order of registering.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

Hook = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)

draining: bool = False
"""SIGTERM was received: refuse what begins something new (`unavailable`)."""

ready: bool = False
"""The server's start-up has ended and no drain has begun."""

_startup: list[Hook] = []
_drain: list[Hook] = []
_shutdown: list[Hook] = []


def on_startup(hook: Hook) -> Hook:
    _startup.append(hook)
    return hook


def on_drain(hook: Hook) -> Hook:
    _drain.append(hook)
    return hook


def on_shutdown(hook: Hook) -> Hook:
    _shutdown.append(hook)
    return hook


async def start() -> None:
    """Run the start-up hooks, in order; what one raises ends the start."""
    global draining, ready  # noqa: PLW0603 one process, one state
    draining = False
    for hook in list(_startup):
        await hook()
    ready = True


def begin_drain() -> None:
    """Turn `ready` off at once; hooks follow in `drain`."""
    global draining, ready
    draining, ready = True, False


async def drain(*, seconds: float) -> None:
    """Run the drain hooks side by side, at most so long."""
    begin_drain()
    await _run_all(list(reversed(_drain)), seconds=seconds)


async def stop(*, seconds: float = 10) -> None:
    """Run the shutdown hooks one after another; a failing one stops no other."""
    for hook in reversed(_shutdown):
        await _run_all([hook], seconds=seconds)


async def _run_all(hooks: list[Hook], *, seconds: float) -> None:
    async def run(hook: Hook) -> None:
        try:
            async with asyncio.timeout(seconds):
                await hook()
        except TimeoutError:
            logger.warning("%s did not end within %g s.", hook.__qualname__, seconds)
        except Exception:
            logger.exception("%s failed.", hook.__qualname__)

    await asyncio.gather(*(run(hook) for hook in hooks))
