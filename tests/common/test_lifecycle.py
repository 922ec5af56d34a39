"""What runs when a server starts, drains and ends."""

from __future__ import annotations

import asyncio

import pytest

from common import lifecycle


@pytest.fixture(autouse=True)
def _apart(monkeypatch):
    for name in ("_startup", "_drain", "_shutdown"):
        monkeypatch.setattr(lifecycle, name, [])
    for name in ("draining", "hurried", "ready"):
        monkeypatch.setattr(lifecycle, name, False)


async def test_start_runs_the_hooks_in_order_and_is_ready():
    ran = []

    async def first() -> None:
        ran.append(("first", lifecycle.ready))

    async def second() -> None:
        ran.append(("second", lifecycle.ready))

    lifecycle.on_startup(first)
    lifecycle.on_startup(second)

    await lifecycle.start()

    assert ran == [("first", False), ("second", False)]
    assert lifecycle.ready


async def test_a_drain_is_known_before_its_hooks_run():
    seen = []

    async def look() -> None:
        seen.append((lifecycle.draining, lifecycle.ready))

    lifecycle.ready = True
    lifecycle.on_drain(look)

    await lifecycle.drain()

    assert seen == [(True, False)]


async def test_a_hook_that_fails_or_hangs_stops_no_other(settings, monkeypatch):
    settings.SHUTDOWN_TURN_SECONDS = 0
    monkeypatch.setattr(lifecycle, "_ENDING_SECONDS", 0.05)
    ran = []

    async def fails() -> None:
        raise RuntimeError

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def works() -> None:
        ran.append("works")

    for hook in (fails, hangs, works):
        lifecycle.on_drain(hook)
        lifecycle.on_shutdown(hook)

    await lifecycle.drain()
    await lifecycle.stop(seconds=0.05)

    assert ran == ["works", "works"]


def test_hurry_leaves_no_grace(settings):
    settings.SHUTDOWN_TURN_SECONDS = 20

    assert lifecycle.grace() == 20
    lifecycle.hurry()
    assert lifecycle.grace() == 0
    assert lifecycle.draining
