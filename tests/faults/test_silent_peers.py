"""Peers that go silent, and silence that must not look like an end. Rows that name a time."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from tests.e2e.person import Person, register
from tests.e2e.wire import Wire, frame, memory
from tests.faults.conftest import one_server
from tests.models_registry.upstream import HANG, Reply, answer, delta, sse


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream):
    with one_server(tmp_path_factory.mktemp("silent"), upstream) as started:
        yield started


@pytest.fixture
def person(server) -> Person:
    return register(server)


async def until_connections(server, count: int, *, within: float) -> float:
    """Seconds until only so many sockets are open."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while server.request("/health").json()["active_connections"] != count:
            await asyncio.sleep(0.5)
    return time.monotonic() - began


async def test_a_peer_that_answers_no_ping_is_dropped_within_45_seconds(person):
    """W12: one that does stays."""
    frozen = await Wire.open(person)
    async with person.socket() as alive:
        await until_connections(person.server, 1, within=45)

        await alive.send(type="ping")
        assert (await alive.get())["type"] == "pong"
    frozen.writer.transport.abort()


async def test_a_peer_that_stops_reading_costs_little(person, upstream):
    """W6: the second time; the first one pays for what is loaded once."""
    words = [f"{number:06} " * 100 for number in range(1_400)]
    upstream.script(Reply((*(sse(delta(word)) for word in words), *answer().steps)))
    chat = frame(json.dumps({"type": "chat", "content": "much"}).encode())
    for _ in range(2):
        slow = await Wire.open(person)
        before = memory(person.server)
        slow.writer.write(chat)
        await until_connections(person.server, 0, within=30)
        grown = memory(person.server) - before
        slow.writer.transport.abort()

    assert grown < 8 << 20  # most of it is the turn itself, which anyone may read


async def test_a_silent_turn_sends_four_comments_a_minute(person, upstream):
    """E3."""
    upstream.script(Reply((sse(delta("a")), HANG)))
    comments = 0
    began = time.monotonic()
    url = f"{person.server.url}/api/v1/chat"
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    async with (
        aiohttp.ClientSession(headers=person.headers) as session,
        session.post(url, json=body) as stream,
    ):
        async for line in stream.content:
            comments += line.startswith(b":")
            if time.monotonic() - began > 55 or b"chat_complete" in line:
                break

    assert comments >= 3


async def test_stop_and_ping_are_answered_within_a_second_of_a_long_replay(person, upstream):
    """W10: 5,000 events."""
    steps = [
        sse(*(delta(f"{n} ") for n in range(start, start + 10))) for start in range(0, 5_000, 10)
    ]
    upstream.script(Reply((*steps, *answer().steps)))
    async with person.socket() as socket:
        await socket.send(type="chat", content="count")
        message_id = (await socket.until("chat_complete"))[0]["message_id"]

        await socket.send(type="resume", message_id=message_id, after=-1)
        began = time.monotonic()
        await socket.send(type="ping")
        await socket.send(type="stop", message_id=message_id)
        await socket.until("pong")
        await socket.until("stopped")

    assert time.monotonic() - began < 1
