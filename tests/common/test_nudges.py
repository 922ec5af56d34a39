"""Nudges: heard by whoever listens, missed without harm."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer

from common import nudges
from common.metrics import nudges_lost_total


class Ear:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def nudged(self, message: dict[str, Any]) -> None:
        self.heard.put_nowait(message)

    async def hears(self, group: str) -> dict[str, Any]:
        """Nudge `group` until this one hears it: joining happens beside the one who joins."""
        async with asyncio.timeout(10):
            while self.heard.empty():
                await nudges.nudge(group, {"type": "look"})
                await asyncio.sleep(0.01)
            return await self.heard.get()


class Failing(InMemoryChannelLayer):
    """A layer whose Redis is away until `healthy`."""

    healthy = False

    def check(self) -> None:
        if not self.healthy:
            raise ConnectionError

    async def new_channel(self, prefix: str = "specific.") -> str:
        self.check()
        return str(await super().new_channel(prefix))

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.check()
        await super().group_send(group, message)


@pytest.fixture
def layer(monkeypatch):
    made = Failing()
    made.healthy = True
    monkeypatch.setattr(nudges, "get_channel_layer", lambda: made)
    return made


async def test_a_group_is_heard_by_its_members_and_by_nobody_else(layer):
    ear, other = Ear(), Ear()
    nudges.join("user.a", ear)
    nudges.join("user.b", other)

    assert await ear.hears("user.a") == {"type": "look", "group": "user.a"}
    assert other.heard.empty()

    nudges.leave("user.a", ear)
    nudges.leave("user.b", other)


async def test_who_has_left_hears_nothing_more(layer):
    ear, other = Ear(), Ear()
    nudges.join("user.a", ear)
    nudges.join("user.a", other)
    await ear.hears("user.a")

    nudges.leave("user.a", ear)
    while not ear.heard.empty():
        ear.heard.get_nowait()
    other.heard = asyncio.Queue()
    await other.hears("user.a")

    assert ear.heard.empty()
    nudges.leave("user.a", other)


async def test_one_channel_hears_for_all_and_goes_with_the_last(layer):
    ears = [Ear() for _ in range(10)]
    for number, ear in enumerate(ears):
        nudges.join(f"user.{number}", ear)
    for number, ear in enumerate(ears):
        await ear.hears(f"user.{number}")

    channels = {name for members in layer.groups.values() for name in members}
    assert len(channels) == 1

    for number, ear in enumerate(ears):
        nudges.leave(f"user.{number}", ear)
    async with asyncio.timeout(5):
        while any(task.get_name().startswith("nudge") for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


@pytest.mark.row("F4")
async def test_a_layer_that_is_away_is_joined_when_it_is_back(layer, monkeypatch):
    """F4."""
    monkeypatch.setattr(nudges, "_RETRY_SECONDS", 0.01)
    layer.healthy = False
    ear = Ear()
    nudges.join("user.a", ear)
    await asyncio.sleep(0.05)

    layer.healthy = True

    assert (await ear.hears("user.a"))["type"] == "look"
    nudges.leave("user.a", ear)


async def test_a_nudge_that_cannot_be_sent_is_counted_and_raises_nothing(layer):
    layer.healthy = False
    before = nudges_lost_total._value.get()  # noqa: SLF001

    await nudges.nudge("user.a", {"type": "look"})

    assert nudges_lost_total._value.get() == before + 1  # noqa: SLF001


class Deaf(InMemoryChannelLayer):
    """A layer that loses a cancel in `lost_in`, as Redis's client does before Python 3.12."""

    lost_in = ""

    async def reach(self, place: str) -> None:
        if place == self.lost_in:
            task = asyncio.current_task()
            assert task is not None
            with contextlib.suppress(asyncio.CancelledError):
                while not task.cancelling():
                    await asyncio.sleep(0)
                await asyncio.sleep(0)

    async def new_channel(self, prefix: str = "specific.") -> str:
        await self.reach("new_channel")
        return str(await super().new_channel(prefix))

    async def group_add(self, group: str, channel: str) -> None:
        await self.reach("group_add")
        await super().group_add(group, channel)


@pytest.mark.parametrize("lost_in", ["new_channel", "group_add"])
async def test_nobody_goes_on_listening_when_the_layer_loses_a_cancel(lost_in, monkeypatch):
    made = Deaf()
    made.lost_in = lost_in
    monkeypatch.setattr(nudges, "get_channel_layer", lambda: made)
    ear = Ear()
    nudges.join("user.a", ear)
    for _ in range(5):
        await asyncio.sleep(0)

    nudges.leave("user.a", ear)

    async with asyncio.timeout(5):
        while any(task.get_name().startswith("nudge") for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
    assert not made.channels
