"""What waits to be sent over a socket: bounded in bytes and in time (W6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from common import pulse
from common.sockets.outbox import EASY_BYTES, Outbox

pytestmark = pytest.mark.row("W6")


class Peer:
    """Takes what is sent while it is `reading`."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.reading.set()
        self.got: list[Any] = []
        self.slow = 0
        self.gone = False

    async def send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        if self.gone:
            raise ConnectionError
        self.got.append(message.get("text", message.get("code")))

    def too_slow(self) -> None:
        self.slow += 1


@pytest.fixture
async def peer():
    return Peer()


@pytest.fixture
async def outbox(peer, monkeypatch):
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.01)
    made = Outbox(peer.send, on_slow=peer.too_slow)
    yield made
    await made.abandon()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_frames_go_out_in_order_and_the_close_comes_last(peer, outbox):
    for number in range(5):
        outbox.put(b"%d" % number)
    outbox.shut(4401)
    outbox.put(b"too late")

    await outbox.done()

    assert peer.got == ["0", "1", "2", "3", "4", 4401]


async def test_too_many_bytes_are_slow_once_and_nothing_more_is_kept(peer, outbox, settings):
    settings.SOCKET_UNSENT_BYTES = 100
    peer.reading.clear()
    for _ in range(50):
        outbox.put(b"x" * 30)

    assert peer.slow == 1
    assert outbox._bytes <= 130  # noqa: SLF001


async def test_one_frame_may_be_larger_than_the_bound(peer, outbox, settings):
    settings.SOCKET_UNSENT_BYTES = 100

    outbox.put(b"x" * 10_000)
    await settle()

    assert (peer.slow, len(peer.got[0])) == (0, 10_000)


async def test_a_frame_that_waits_too_long_is_slow(peer, outbox, settings):
    settings.SOCKET_UNSENT_SECONDS = 0.05
    peer.reading.clear()
    outbox.put(b"x")

    async with asyncio.timeout(5):
        while not peer.slow:
            await asyncio.sleep(0.01)

    assert peer.slow == 1


async def test_a_peer_that_reads_is_never_slow(peer, outbox, settings):
    settings.SOCKET_UNSENT_SECONDS = 0.05
    for _ in range(20):
        outbox.put(b"x")
        await asyncio.sleep(0.01)

    assert peer.slow == 0
    assert len(peer.got) == 20


async def test_room_is_waited_for_and_given_up_with_the_outbox(peer, outbox):
    await outbox.room()
    peer.reading.clear()
    outbox.put(b"x" * (EASY_BYTES + 1))
    waiting = asyncio.create_task(outbox.room())
    await settle()
    assert not waiting.done()

    await outbox.abandon()

    await asyncio.wait_for(waiting, 5)


async def test_a_peer_that_is_gone_ends_the_sending(peer, outbox):
    peer.gone = True
    outbox.put(b"x")
    await outbox.done()

    outbox.put(b"y")

    assert peer.got == []
