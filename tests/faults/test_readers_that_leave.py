"""Readers that are killed or take nothing any more (E4)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.e2e.person import API, register
from tests.events import text_of
from tests.faults.measuring import metric
from tests.faults.provider import spoken
from tests.faults.records import audit
from tests.waiting import until

WORDS = [f"{number:06} " * 100 for number in range(1_400)]


def ask(person, message):
    """A reader with next to no buffer of its own."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    opened.settimeout(60)
    opened.connect(("127.0.0.1", person.server.port))
    lines = [
        f"GET {API}messages/{message}/stream HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {person.token}",
    ]
    opened.sendall("\r\n".join([*lines, "", ""]).encode())
    assert opened.recv(12) == b"HTTP/1.1 200"
    return opened


def open_streams(server):
    return metric(server, "parley_active_streams ")


@pytest.mark.row("E4")
async def test_a_hundred_readers_that_leave_or_stall_cost_nothing_and_the_turn_goes_on(
    alone, upstream
):
    """E4: killed ones are gone after 5 s (here, 50), stalled ones after 60 s (here, 200)."""
    upstream.script(spoken(WORDS, seconds=0.01))
    with alone() as server:
        person = register(server)
        path = f"conversations/{person.conversation()}/messages/stream"
        async with person.stream(path, {"content": "Talk"}) as stream:
            found = [await anext(stream) for _event in range(5)]
        message = found[0]["message_id"]
        stalled = [await asyncio.to_thread(ask, person, message) for _reader in range(50)]
        killed = [await asyncio.to_thread(ask, person, message) for _reader in range(50)]
        assert open_streams(server) >= 50
        for reader in killed:
            reader.close()
        until(lambda: open_streams(server) <= 50, "killed readers are gone", seconds=50)

        until(
            lambda: person.call("GET", f"messages/{message}").json()["status"] == "complete",
            "the turn goes on",
            seconds=60,
        )
        until(lambda: open_streams(server) == 0, "stalled readers are gone", seconds=200)
        for reader in stalled:
            reader.close()
        again = await person.read(f"messages/{message}/stream")

        assert text_of(again) == "".join(WORDS)
        audit(server)
        assert "Traceback" not in server.log
