"""What every process looks at, because a nudge may be lost."""

from __future__ import annotations

import asyncio

import pytest

from common import lookout
from tests.chat.processes import eventually


@pytest.fixture(autouse=True)
def _no_other_looks(monkeypatch):
    monkeypatch.setattr(lookout, "_looks", [])


async def test_own_looks_come_first_then_the_registered_ones_in_their_order():
    order = []

    @lookout.every_look
    async def first():
        order.append("first")

    @lookout.every_look
    async def second():
        order.append("second")

    async def own():
        order.append("own")

    await lookout.look_once(own)

    assert order == ["own", "first", "second"]


async def test_a_look_that_fails_does_not_blind_the_others(caplog):
    seen = []

    @lookout.every_look
    async def fails():
        raise RuntimeError("a bug")

    @lookout.every_look
    async def sees():
        seen.append(1)

    await lookout.look_once()
    await lookout.look_once()

    assert seen == [1, 1]
    assert any("A look at what changed failed" in str(record.msg) for record in caplog.records)


async def test_looking_goes_on_until_it_is_cancelled(settings):
    settings.LOOK_SECONDS = 0.001
    seen = []

    async def look():
        seen.append(1)
        if len(seen) == 2:
            raise RuntimeError("once")

    looking = asyncio.create_task(lookout.keep_looking(look))
    await eventually(lambda: len(seen) > 4, "it looked again and again")
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


def test_registering_returns_the_look():
    async def look():
        pass

    assert lookout.every_look(look) is look
