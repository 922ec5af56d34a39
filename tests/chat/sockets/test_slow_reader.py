"""A peer that takes nothing (W6)."""

from __future__ import annotations

import asyncio

import pytest

from accounts.services.callers import Caller
from chat.consumers import ChatConsumer
from chat.models import Turn
from common.sockets import outbox as outboxes
from common.sockets import sockets
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Socket
from tests.chat.sockets.test_turns import ENDS, say
from tests.events import text_of

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = [f"{n:05} " * 100 for n in range(1_600)]


def consumers_of(caller: Caller) -> list[ChatConsumer]:
    return [each for each in sockets.of(caller.user.pk) if isinstance(each, ChatConsumer)]


def consumer_of(caller: Caller) -> ChatConsumer:
    """The only one that this person has open."""
    [consumer] = consumers_of(caller)
    return consumer


@pytest.mark.row("W6")
async def test_a_peer_that_stops_reading_holds_little_and_is_dropped_and_may_resume(
    serving, token, alice, conversation, script, settings
):
    """W6: 1 MB of answer; at no time is more than the bound queued, and nobody else slows."""
    settings.SOCKET_UNSENT_SECONDS = 0.5
    script(*(TextDelta(word) for word in WORDS), Finished("stop"))
    dropped = asyncio.Event()
    socket = Socket(token=token, extensions={"parley.drop": dropped.set})
    await socket.open()

    async with Socket(token=token) as other:
        socket.send(say(conversation))
        start = await socket.receive()
        socket.stop_reading()
        most = 0
        async with asyncio.timeout(20):
            while not dropped.is_set():
                for each in consumers_of(alice):
                    most = max(most, each.outbox._bytes)  # noqa: SLF001
                await asyncio.sleep(0.01)
        assert most <= settings.SOCKET_UNSENT_BYTES
        await socket.leave()

        await other.until(*ENDS)
        other.send({"type": "resume", "message_id": start["message_id"], "after": -1})
        heard = await other.until(*ENDS)

    assert text_of(heard) == "".join(WORDS)
    assert await Turn.objects.filter(status="complete").acount() == 1


@pytest.mark.row("W6")
async def test_frames_that_nobody_waits_for_overflow_the_queue_and_close_it(
    serving, token, alice, settings
):
    """W6: a bystander that reads nothing is not allowed to collect frames without end."""
    settings.SOCKET_UNSENT_BYTES = 10_000
    dropped = asyncio.Event()
    socket = Socket(token=token, extensions={"parley.drop": dropped.set})
    await socket.open()
    await socket.quiet()
    socket.stop_reading()

    consumer = consumer_of(alice)
    for _ in range(100):
        consumer.send_frame({"type": "user_typing", "padding": "x" * 100})

    async with asyncio.timeout(5):
        await dropped.wait()
    await socket.leave()


@pytest.mark.row("W6")
async def test_a_peer_that_reads_again_in_time_gets_its_close_frame(
    serving, token, alice, settings, monkeypatch
):
    """W6: 4408 is tried first."""
    settings.SOCKET_UNSENT_BYTES = 10_000
    socket = Socket(token=token)
    await socket.open()
    await socket.quiet()
    socket.stop_reading()
    consumer = consumer_of(alice)
    for _ in range(100):
        consumer.send_frame({"type": "user_typing", "padding": "x" * 100})

    socket.read_again()

    assert await socket.close_code() == 4408
    await socket.ended()


async def test_a_reader_of_a_log_waits_for_room(serving, token, alice):
    async with Socket(token=token) as socket:
        await socket.quiet()
        consumer = consumer_of(alice)
        socket.stop_reading()
        consumer.outbox.put(b"x" * (outboxes.EASY_BYTES + 1))
        waiting = asyncio.create_task(consumer.outbox.room())
        await asyncio.sleep(0)
        assert not waiting.done()

        socket.read_again()
        await asyncio.wait_for(waiting, 5)
        socket.outbox.get_nowait()
