"""Peers that go silent, and silence that must not look like an end. Rows that name a time."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from tests.e2e.person import Person, register
from tests.e2e.wire import Wire, frame
from tests.faults.conftest import one_server
from tests.faults.measuring import until_connections
from tests.faults.records import audit
from tests.models_registry.upstream import HANG, Reply, answer, delta, sse


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream):
    with one_server(tmp_path_factory.mktemp("silent"), upstream) as started:
        yield started


@pytest.fixture
def person(server) -> Person:
    return register(server)


@pytest.mark.row("W12")
async def test_a_peer_that_answers_no_ping_is_dropped_and_one_that_does_stays(person):
    """W12: within 40 s; here, 400."""
    frozen = await Wire.open(person)
    async with person.socket() as alive:
        await until_connections(person.server, 1, within=400)

        await alive.send(type="ping")
        assert (await alive.get())["type"] == "pong"
    frozen.writer.transport.abort()


@pytest.mark.row("W6")
async def test_a_peer_that_stops_reading_costs_less_than_two_megabytes(person, upstream):
    """W6: of a turn whose log is there already, which costs the same whoever reads it."""
    words = [f"{number:06} " * 100 for number in range(1_400)]
    upstream.script(Reply((*(sse(delta(word)) for word in words), *answer().steps)))
    async with person.socket() as socket:
        await socket.send(type="chat", content="much")
        message_id = (await socket.until("chat_complete"))[0]["message_id"]
    await until_connections(person.server, 0, within=30)
    again = {"type": "resume", "message_id": message_id, "after": -1}
    grown = []
    for _try in range(3):  # a job may work beside one of them
        slow = await Wire.open(person)
        before = most = person.server.memory
        slow.writer.write(frame(json.dumps(again).encode()))
        leaving = asyncio.create_task(until_connections(person.server, 0, within=60))
        while not leaving.done():
            most = max(most, person.server.memory)
            await asyncio.sleep(0.05)
        await leaving
        grown.append(most - before)
        slow.writer.transport.abort()

    assert min(grown) < 2 << 20


@pytest.mark.row("E3")
async def test_a_silent_turn_sends_four_comments_a_minute(person, upstream):
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


@pytest.mark.row("W10")
async def test_stop_and_ping_are_answered_amid_a_long_replay(person, upstream):
    """W10: 5,000 events; here, 10 s."""
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

    assert time.monotonic() - began < 10


def test_none_of_them_left_a_difference_in_the_books(server):
    audit(server)
