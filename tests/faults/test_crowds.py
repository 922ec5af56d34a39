"""A thousand who come at once and leave at once, and fifty who flood: nothing is left behind."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from tests.e2e.person import API, Person, register
from tests.e2e.wire import Wire, frame
from tests.faults.conftest import one_server
from tests.faults.insides import insides, observed
from tests.faults.measuring import MEBIBYTE, Bystander, metric
from tests.faults.provider import numbers
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import DONE, Reply, answer, delta, finish, sse, usage
from tests.server import Server
from tests.waiting import until

CROWD = 1_000
PATIENCE = 120
FEW = 20  # that the process, one turn and its reader have open
Come = Callable[[Person, str], Awaitable[asyncio.StreamWriter]]


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream) -> Iterator[Server]:
    insides_at = tmp_path_factory.mktemp("insides")
    folder = tmp_path_factory.mktemp("crowds")
    with one_server(folder, upstream, **observed(insides_at)) as started:
        yield started


@pytest.fixture
def person(server: Server) -> Person:
    return register(server)


async def come(person: Person, lines: list[str], status: bytes) -> asyncio.StreamWriter:
    """A connection whose request was answered."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", person.server.port)
        host = f"Host: 127.0.0.1:{person.server.port}"
        writer.write("\r\n".join([lines[0], host, *lines[1:], "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status), head
    return writer


async def come_to_read(person: Person, message: str) -> asyncio.StreamWriter:
    lines = [f"GET {API}messages/{message}/stream HTTP/1.1"]
    return await come(person, [*lines, f"Authorization: Bearer {person.token}"], b"200")


async def come_to_talk(person: Person, message: str) -> asyncio.StreamWriter:
    lines = [
        "GET /ws/chat HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        f"Sec-WebSocket-Protocol: parley.v1, bearer.{person.token}",
    ]
    writer = await come(person, lines, b"101")
    resume = {"type": "resume", "message_id": message, "after": -1}
    writer.write(frame(json.dumps(resume).encode()))
    return writer


def counting(*, until: threading.Event) -> Iterator[Any]:
    """The steps of an answer that goes on until then."""
    for number in count():
        yield 0.1
        yield sse(delta(f"{number} "))
        if until.is_set():
            break
    yield sse(finish(), usage(), DONE)


def leave(writer: asyncio.StreamWriter, number: int) -> None:
    """Every other one as a machine that was switched off: reset, not closed."""
    if number % 2:
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    writer.transport.abort()


async def crowd(person: Person, message: str, how: Come) -> None:
    """All of them come at once, and once the last one is there all of them leave at once."""
    writers = await asyncio.gather(*(how(person, message) for _each in range(CROWD)))
    for number, writer in enumerate(writers):
        leave(writer, number)


def nobody_there(server: Server) -> bool:
    sockets = server.request("/health").json()["active_connections"]
    return not sockets and metric(server, "parley_active_streams ") <= 1  # the one who stays


def left_behind(server: Server) -> dict[str, int]:
    until(lambda: nobody_there(server), "all have left", seconds=PATIENCE)
    # Who was told to go and does not is dropped some seconds later.
    until(lambda: insides(server)["sockets"] <= FEW, "all were dropped", seconds=PATIENCE)
    return insides(server)


def no_more(before: dict[str, int], after: dict[str, int]) -> None:
    """But for what the one turn and its reader have open."""
    more = {what: after[what] - before[what] for what in before}
    assert all(each <= FEW for each in more.values()), more


@pytest.mark.parametrize("how", [come_to_read, come_to_talk], ids=["streams", "sockets"])
async def test_a_thousand_come_at_once_and_leave_at_once(person, server, upstream, how):
    """One who reads meanwhile misses nothing; the process has no more open than before."""
    all_left = threading.Event()
    upstream.script(Reply(counting(until=all_left)))
    staying = Reader(person, person.conversation())
    reading = asyncio.create_task(staying.ask())
    await all_began([staying])
    await crowd(person, staying.message, how)  # the first ones pay for what is loaded once
    before = await asyncio.to_thread(left_behind, server)
    remembered = server.memory

    with Bystander(server) as bystander:
        await crowd(person, staying.message, how)
    after = await asyncio.to_thread(left_behind, server)

    grown = server.memory - remembered
    all_left.set()
    await reading
    words = staying.text.split()
    assert words == [str(number) for number in range(len(words))]
    await agree(server, [staying])
    no_more(before, after)
    assert grown < 20 * MEBIBYTE
    # A second or two where nothing else runs on the machine.
    assert bystander.longest < 15
    assert "Traceback" not in server.log


async def flood(wire: Wire, what: bytes) -> int | None:
    """Send without pause; the code that it is closed with."""
    wire.seconds = PATIENCE
    closing = asyncio.create_task(wire.close_code())
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionError):
            while not closing.done():
                wire.writer.write(what)
                await wire.writer.drain()
                await asyncio.sleep(0)
        return await closing


async def floods(people: list[Person]) -> list[int | None]:
    pings = frame(json.dumps({"type": "ping"}).encode()) * 100
    wires = [await Wire.open(person) for person in people for _each in range(10)]
    return await asyncio.gather(*(flood(wire, pings) for wire in wires))


async def test_fifty_sockets_that_flood_are_closed_and_others_are_served(tmp_path, upstream, alone):
    """W7: each 4429 in under 2 s (here, 20); somebody talks meanwhile as if nothing were."""
    upstream.script(answer(*numbers(50)))
    with alone(LIMIT_FACTOR="1", **observed(tmp_path)) as server:
        calm, people = register(server), [register(server) for _each in range(5)]
        await floods(people)
        before = await asyncio.to_thread(left_behind, server)

        with Bystander(server) as bystander:
            flooding = asyncio.create_task(floods(people))
            readers = [await Reader(calm, calm.conversation()).ask() for _each in range(5)]
            codes = await flooding
        after = await asyncio.to_thread(left_behind, server)

        assert codes == [4429] * 50
        await agree(server, readers)
        assert [each.text for each in readers] == ["".join(numbers(50))] * 5
        no_more(before, after)
        assert bystander.longest < 20
        assert "Traceback" not in server.log
