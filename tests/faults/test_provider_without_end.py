"""A provider that goes on for ever, and a person who stops it (F9, F10, F15)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from tests.e2e.person import Person, register
from tests.faults.conftest import one_server
from tests.faults.measuring import MEBIBYTE, Bystander
from tests.faults.records import audit
from tests.models_registry.upstream import HANG, Reply, answer, delta, refusal, sse
from tests.server import Server
from tests.waiting import until

SILENCE = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream) -> Iterator[Server]:
    waits = {
        "PROVIDER_FIRST_TOKEN_SECONDS": str(SILENCE),
        "PROVIDER_SILENCE_SECONDS": str(SILENCE),
        "ALLOW_PRIVATE_UPSTREAMS": "true",
    }
    with one_server(tmp_path_factory.mktemp("endless"), upstream, **waits) as started:
        yield started


@pytest.fixture
def person(server: Server, upstream) -> Person:
    someone = register(server)
    upstream.script(answer("Warm."))
    sent = someone.call(
        "POST", f"conversations/{someone.conversation()}/messages", {"content": "Hi"}
    )
    assert sent.status == 201, sent.body
    upstream.requests.clear()
    return someone


TRICKLES = {
    "comments": b": still here\n\n",
    "a byte of a line": b"d",
    "events without text": sse({"choices": [{"index": 0, "delta": {}}]}),
}


@pytest.mark.row("F9")
@pytest.mark.parametrize("trickle", TRICKLES.values(), ids=list(TRICKLES))
async def test_a_trickle_that_says_nothing_is_silence(person, upstream, trickle):
    """F9: a read timeout would never fire; the text is kept. The wait is 2 s; here, 20."""
    drops = chain.from_iterable((0.3, trickle) for _drop in repeat(None))
    upstream.script(Reply(chain([sse(delta("Some text"))], drops)))
    conversation = person.conversation()

    began = time.monotonic()
    found = await person.read(f"conversations/{conversation}/messages/stream", {"content": "Hi"})

    assert time.monotonic() - began < SILENCE * 10
    message = person.call("GET", f"messages/{found[0]['message_id']}").json()
    assert (message["status"], message["content"]) == ("interrupted", "Some text")
    assert message["error"]["code"] == "upstream_timeout"
    assert await upstream.chats[0].was_left()


def _bomb() -> Reply:
    bomb = gzip.compress(sse(delta("x")) + b"data: " + b"0" * (256 * MEBIBYTE), 1)
    pieces = [bomb[at : at + 65_536] for at in range(0, len(bomb), 65_536)]
    return Reply((*pieces, HANG), headers={"content-encoding": "gzip"})


FLOODS = {
    "an endless stream": lambda: Reply(repeat(sse(*[delta("word " * 100)] * 20))),
    "endless reasoning": lambda: Reply(repeat(sse(*[delta(reasoning_content="hm " * 100)] * 20))),
    "a line of a gigabyte": lambda: Reply(
        chain([sse(delta("x")), b"data: "], repeat(b"x" * 65_536, 16_384))
    ),
    "a gzip bomb": _bomb,
    "an endless refusal": lambda: Reply(
        repeat(b"x" * 65_536), status=400, content_type="application/json"
    ),
}


@pytest.mark.row("F10")
@pytest.mark.parametrize("flood", FLOODS.values(), ids=list(FLOODS))
async def test_a_provider_that_pours_is_cut_off_and_costs_little(person, server, upstream, flood):
    """F10: memory +<10 MB; here, 100. Others are answered meanwhile (R5)."""
    upstream.script(flood())
    conversation = person.conversation()

    with Bystander(server) as bystander:
        before = bystander.memory
        found = await person.read(
            f"conversations/{conversation}/messages/stream", {"content": "Hi"}
        )

    assert found[-1]["type"] == "chat_error"
    assert bystander.memory - before < 100 * MEBIBYTE
    assert bystander.longest < 2
    assert await upstream.chats[0].was_left()


def ended(person: Person, message: str) -> bool:
    return bool(person.call("GET", f"messages/{message}").json()["status"] == "stopped")


async def stop(person: Person, start: dict) -> float:
    """Seconds until the message is stopped."""
    began = time.monotonic()
    path = f"messages/{start['message_id']}/stop"
    stopped = await asyncio.to_thread(person.call, "POST", path)
    assert stopped.status == 200
    await asyncio.to_thread(until, lambda: ended(person, start["message_id"]), "it is stopped")
    return time.monotonic() - began


@pytest.mark.row("F15")
async def test_a_stop_closes_the_provider_s_connection(person, upstream):
    """F15: within 1 s; here, 10."""
    upstream.script(Reply((sse(delta("Enough of")), HANG)))
    path = f"conversations/{person.conversation()}/messages/stream"
    async with person.stream(path, {"content": "Hi"}) as stream:
        start, _chunk = await anext(stream), await anext(stream)

        took = await stop(person, start)

    assert await upstream.chats[0].was_left()
    assert took < 10


@pytest.mark.row("F15")
async def test_a_stop_ends_the_wait_before_another_try(person, upstream):
    """F15: while backing off, for 15 s here."""
    upstream.script(refusal(503, retry_after="15"))
    path = f"conversations/{person.conversation()}/messages/stream"
    async with person.stream(path, {"content": "Hi"}) as stream:
        start = await anext(stream)
        await upstream.was_asked()

        took = await stop(person, start)

    assert took < 10
    assert len(upstream.chats) == 1


@pytest.fixture
def unreachable() -> Iterator[int]:
    """A port that lets nobody connect and refuses nobody: its queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        waiting = []
        for _number in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        yield address[1]
        for one in waiting:
            one.close()


@pytest.mark.row("F15")
async def test_a_stop_ends_the_wait_for_a_connection(person, unreachable):
    """F15: while connecting."""
    connection = person.call(
        "POST",
        "connections",
        {
            "scope": "personal",
            "provider": "openai_compatible",
            "name": "Full",
            "base_url": f"http://127.0.0.1:{unreachable}/v1",
            "api_key": "sk-none",
        },
    )
    assert connection.status == 201, connection.body
    model = {"scope": "personal", "name": "full", "connection": connection.json()["id"]}
    assert person.call("POST", "models", model).status == 201
    path = f"conversations/{person.conversation(model='full')}/messages/stream"
    async with person.stream(path, {"content": "Hi"}) as stream:
        start = await anext(stream)

        took = await stop(person, start)
        end = [event async for event in stream][-1]

    assert took < 10
    assert end["message"]["status"] == "stopped"


def test_nothing_of_all_this_left_a_traceback_or_a_difference_in_the_books(server):
    assert server.request("/info").status == 200

    # What is not in the log was not written there, rather than not kept.
    assert "/info" in server.log
    assert "Traceback" not in server.log
    audit(server)
