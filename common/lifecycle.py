"""What runs when a server process starts, drains and ends; `config.server` calls it.

A hook is an async function without arguments. Start-up hooks run before the server calls itself
ready. Drain hooks run side by side when SIGTERM came: whatever runs gets `grace()` seconds, then
is ended; at a second signal they are cancelled and run once more, now with a grace of 0. Shutdown
hooks come last, when no connection is left, in the reverse order of registering.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from django.conf import settings

Hook = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)

_ENDING_SECONDS = 6

draining: bool = False
"""SIGTERM was received: refuse what begins something new (`unavailable`)."""

ready: bool = False
"""The server's start-up has ended and no drain has begun."""

hurried: bool = False
"""A second signal, or Ctrl-C: what runs is ended at once."""

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
    global draining, hurried, ready  # noqa: PLW0603 one process, one state
    draining = hurried = False
    for hook in list(_startup):
        await hook()
    ready = True


def begin_drain() -> None:
    """Turn `ready` off at once; hooks follow in `drain`."""
    global draining, ready
    draining, ready = True, False


def hurry() -> None:
    global hurried  # noqa: PLW0603
    begin_drain()
    hurried = True


def grace() -> float:
    """Seconds that running turns still have."""
    return 0 if hurried else float(settings.SHUTDOWN_TURN_SECONDS)


async def drain() -> None:
    """Run the drain hooks; they may take a little longer than their grace, to end what runs."""
    begin_drain()
    await _run_all(_drain, seconds=grace() + _ENDING_SECONDS)


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
            logger.warning(
                "The server ends without waiting for %s, which took more than %g s.",
                hook.__qualname__,
                seconds,
            )
        except Exception:
            logger.exception(
                "The server ends, and %s failed. If the database is up, please report what"
                " follows.",
                hook.__qualname__,
            )

    await asyncio.gather(*(run(hook) for hook in hooks))
