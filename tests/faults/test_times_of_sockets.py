"""Sockets that are refused, run out or flood: each is gone in its time, and nobody else waits."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import websockets

from tests.e2e.person import Person, register
from tests.e2e.wire import Wire, frame, opened
from tests.faults.conftest import one_server
from tests.faults.measuring import MEBIBYTE, until_connections

PING = frame(json.dumps({"type": "ping"}).encode())
# More than what nobody reads fills on its way (seen: 4 MB), and less than gets through before a
# peer that answers no ping is dropped (of empty fragments, 30 MB).
BUFFERS = 16 * MEBIBYTE


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream):
    with one_server(tmp_path_factory.mktemp("sockets"), upstream) as started:
        yield started


@pytest.fixture
def person(server) -> Person:
    return register(server)


@pytest.fixture(autouse=True)
async def _closed_at_the_end():
    opened.clear()  # what another module has left went with its loop
    yield
    while opened:
        opened.pop().transport.abort()


@pytest.mark.row("W3")
async def test_two_hundred_refused_sockets_that_say_nothing_are_gone(server):
    """Within 5 s; here, 50. Each hears one error; no frame of it is answered."""
    stranger = Person(server, "nonsense", "nobody")
    wires = []
    for _number in range(200):
        wires.append(await Wire.open(stranger))
        wires[-1].writer.write(PING * 3)
    began = time.monotonic()

    await until_connections(server, 0, within=50)
    heard = [[await wire.get(), await wire.get()] for wire in wires]

    assert time.monotonic() - began < 50
    for (_text, error), (closing, code) in heard:
        assert json.loads(error)["code"] == "token_invalid"
        assert (closing, struct.unpack("!H", code[:2])) == (8, (4401,))
    for wire in wires:
        with suppress(ConnectionError):
            assert await asyncio.wait_for(wire.reader.read(), 50) == b""
        wire.writer.close()


SHORT = """
from django.conf import settings
settings.ACCESS_TOKEN_SECONDS = {seconds}
from accounts.models import SignIn
from accounts.services.tokens import issue
print(issue(SignIn.objects.get(user__username={username!r})).access_token)
"""


def for_a_moment(person: Person, *, seconds: int) -> Person:
    """The same person with a token that ends soon."""
    made = person.server.command(
        "shell", "-v", "0", "-c", SHORT.format(seconds=seconds, username=person.username)
    )
    assert made.returncode == 0, made.stderr
    return replace(person, token=made.stdout.split()[-1])


@pytest.mark.row("W4")
async def test_a_token_that_runs_out_closes_its_socket_and_a_new_one_keeps_it(person):
    """Within 30 s of its end; here, 300."""
    brief = for_a_moment(person, seconds=20)
    async with brief.socket() as left, brief.socket() as kept:
        await kept.send(type="authenticate", access_token=person.token)
        assert (await kept.get())["type"] == "authenticated"

        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(left.connection.recv(), 320)

        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        await kept.send(type="ping")
        assert (await kept.get())["type"] == "pong"


@asynccontextmanager
async def neighbour(person: Person) -> AsyncIterator[list[float]]:
    """How long a socket of another person waits for each answer meanwhile, in seconds."""
    waits: list[float] = []

    async def ask() -> None:
        async with person.socket() as socket:
            while True:
                began = time.monotonic()
                await socket.send(type="ping")
                assert (await socket.get())["type"] == "pong"
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

    async def once_more() -> None:
        heard = len(waits)
        while len(waits) == heard and not asking.done():
            await asyncio.sleep(0.01)

    asking = asyncio.create_task(ask())
    await once_more()
    yield waits
    await once_more()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking


def bombs() -> dict[str, tuple[bytes, bytes, int]]:
    """What is sent first, what then again and again, and how often: several times `BUFFERS`."""
    deflated = zlib.compressobj(wbits=-15)
    zeros = deflated.compress(bytes(32 * MEBIBYTE)) + deflated.flush(zlib.Z_SYNC_FLUSH)
    bomb = bytearray(frame(zeros[:60_000]))
    bomb[0] |= 0x40  # RSV1: what follows is compressed
    mebibyte = frame(b"a" * 65_536, opcode=0, final=False) * 16
    nothing = frame(b"", opcode=0, final=False)
    whole = bytes([0x81, 0xFF]) + struct.pack("!Q", 1 << 30) + bytes(4)
    return {
        "a gigabyte in fragments": (frame(b"a", final=False), mebibyte, 1_024),
        "a gigabyte in one frame": (whole, b"a" * MEBIBYTE, 1_024),
        # Refused by its first bytes (1002), as nobody agreed to compress.
        "a deflate bomb": (bytes(bomb), bytes(bomb), 1_200),
        "empty fragments": (frame(b"", final=False), nothing * 10_000, 1_200),
    }


@pytest.mark.row("W5")
@pytest.mark.parametrize("name", bombs())
async def test_a_bomb_is_cut_off_and_the_others_are_answered(person, server, name):
    """Others within 1 s; here, 10. Memory +<32 MB."""
    first, again, times = bombs()[name]
    async with neighbour(register(server)) as waits:
        wire = await Wire.open(person)
        before = server.memory
        taken = 0
        with suppress(ConnectionError):
            wire.writer.write(first)
            for taken in range(times):  # noqa: B007 how far it came
                wire.writer.write(again)
                await asyncio.wait_for(wire.writer.drain(), 60)
        code = await wire.close_code()

    assert code in {1002, 1009, None}
    assert taken * len(again) < BUFFERS
    assert server.memory - before < 32 * MEBIBYTE
    assert max(waits) < 10
