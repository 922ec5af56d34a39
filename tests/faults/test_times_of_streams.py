"""Streams while little or much happens: bytes in time, every join whole, room for one more."""

from __future__ import annotations

import asyncio
import random
import time

import aiohttp
import pytest

from tests.e2e.conftest import serving
from tests.e2e.person import API, events, register
from tests.events import text_of
from tests.faults.provider import spoken
from tests.models_registry.upstream import HANG, Reply, answer, delta, refusal, sse

JOINS = 1_000
AT_ONCE = 50
WORDS = [f"word{number} é中🙂 " for number in range(600)]


async def post(person, session, **body):
    return await session.post(f"{person.server.url}{API}chat", json=body | {"stream": True})


HI = [{"role": "user", "content": "Hi"}]


@pytest.mark.row("E2")
async def test_the_first_byte_does_not_wait_for_the_provider(alone, upstream):
    """Within 1 s; here, 10."""
    upstream.script(Reply((HANG,), raw=True))
    with alone() as server:
        person = register(server)
        began = time.monotonic()
        async with aiohttp.ClientSession(headers=person.headers) as session:
            stream = await post(person, session, messages=HI)
            first = await anext(events(stream))
            stream.close()

    assert first["type"] == "chat_start"
    assert time.monotonic() - began < 10


@pytest.mark.row("E3")
async def test_a_turn_that_is_tried_again_sends_comments(alone, upstream):
    """At least every 15 s (here, 150), while a provider says when to come again."""
    upstream.script(refusal(429, retry_after="18"), answer("Here."))
    comments, said = 0, b""
    with alone() as server:
        person = register(server)
        async with aiohttp.ClientSession(headers=person.headers) as session:
            stream = await post(person, session, messages=HI)
            async with asyncio.timeout(150):
                async for line in stream.content:
                    comments += line.startswith(b":")
                    said += line

    assert comments >= 1
    assert b"Here." in said
    assert len(upstream.chats) == 2


@pytest.mark.row("E8")
async def test_a_thousand_joins_at_any_moment_in_two_processes_read_the_same(tmp_path, upstream):
    """Some from the start, some behind an event; before, at and after the end."""
    chance = random.Random(8)  # noqa: S311 the same in every run
    upstream.script(spoken(WORDS, seconds=0.02))
    places = asyncio.Semaphore(AT_ONCE)
    with serving(tmp_path / "data", upstream) as servers:
        person = register(servers[0])
        path = f"conversations/{person.conversation()}/messages/stream"
        begun = asyncio.get_running_loop().create_future()
        timeout = aiohttp.ClientTimeout(total=120)

        async def send(session):
            url = f"{person.server.url}{API}{path}"
            async with session.post(url, json={"content": "Count"}) as stream:
                found = []
                async for event in events(stream):
                    found.append(event)
                    if not begun.done():
                        begun.set_result(event["message_id"])
                return found

        async def join(session, number):
            async with places:
                await asyncio.sleep(chance.random())
                after = chance.choice([-1, chance.randrange(len(WORDS))])
                url = f"{servers[number % 2].url}{API}messages/{begun.result()}/stream"
                headers = {"Last-Event-ID": f"{begun.result()}:{after}"} if after >= 0 else {}
                async with session.get(url, headers=headers) as stream:
                    assert stream.status == 200, await stream.text()
                    return after, [event async for event in events(stream)]

        async with aiohttp.ClientSession(headers=person.headers, timeout=timeout) as session:
            sending = asyncio.create_task(send(session))
            await begun
            read = await asyncio.gather(*(join(session, number) for number in range(JOINS)))
            whole = await sending

    assert text_of(whole) == "".join(WORDS)
    assert [event["seq"] for event in whole] == list(range(len(whole)))
    for after, found in read:
        missing = [event for event in whole if event["seq"] > after] or whole[-1:]
        if found[0]["type"] == "snapshot":  # what a process has that began to listen late
            assert text_of([*whole[: after + 1], *found]) == "".join(WORDS)
            assert found[-1] == whole[-1]
        else:
            assert found == missing


@pytest.mark.row("R6")
async def test_somebody_else_begins_while_one_takes_all_places_they_can(alone, upstream):
    """Within 1 s; here, 10. A hundred places, twenty people who want five each."""
    upstream.script(Reply((sse(delta("Mine ")), HANG)))
    with alone(LIMIT_FACTOR="0.1", RATE_REGISTER="off", RATE_API_ANONYMOUS="off") as server:
        greedy = [register(server) for _person in range(20)]
        late = register(server)
        async with aiohttp.ClientSession() as session:

            async def begin(person):
                """Whether a turn began, and what the refusal says."""
                url = f"{server.url}{API}chat"
                body = {"messages": HI, "stream": True}
                began = await session.post(url, json=body, headers=person.headers)
                if began.status == 200:
                    kept.append(began)
                    return None
                return (await began.json())["code"]

            kept: list[aiohttp.ClientResponse] = []
            refused = {
                answered
                for person in greedy
                for answered in [await begin(person) for _turn in range(6)]
                if answered
            }
            taken = len(kept)
            began_at = time.monotonic()
            assert await begin(late) is None
            assert time.monotonic() - began_at < 10
            for each in kept:
                each.close()

    assert refused == {"rate_limited"}
    assert 80 <= taken < 100
