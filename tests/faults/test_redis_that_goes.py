"""Redis flushed, stopped and started again in the middle of answers (F4)."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.person import API, PASSWORD, register
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import answer
from tests.waiting import until

DOWN_SECONDS = 30
WORDS = numbers(450)


def sign_in(person, server):
    body = {"username": person.username, "password": PASSWORD}
    return server.request(f"{API}auth/login", method="POST", body=body, timeout=60)


def is_healthy(server):
    until(
        lambda: server.request("/health").json()["status"] == "healthy",
        lambda: f"healthy again {server.request('/health').body!r}",
        seconds=100,
    )


async def further(readers, *, events):
    """Wait until each has read so many events more."""
    for reader in readers:
        await all_began([reader], chunks=len(reader.events) + events)


@pytest.mark.row("F4")
async def test_flushed_and_stopped_in_mid_answer_the_text_is_whole(deployment, upstream):
    """F4: turns, sign-in, sending and reading go on at both processes; who reads at the other one
    gets all of it; healthy again without a restart within 10 s (here, 100)."""
    upstream.script(*[spoken(WORDS, seconds=0.1)] * 6, answer("Without Redis."))
    person = register(deployment.first)
    servers = deployment.servers
    asking = [Reader(person, person.conversation(), at=servers[number % 2]) for number in range(6)]
    tasks = [asyncio.create_task(reader.ask()) for reader in asking]
    await all_began(asking)
    joining = [
        Reader(person, reader.conversation, at=servers[(number + 1) % 2])
        for number, reader in enumerate(asking)
    ]
    tasks += [
        asyncio.create_task(other.join(reader))
        for other, reader in zip(joining, asking, strict=True)
    ]
    await all_began(joining)
    await asyncio.to_thread(deployment.redis.flush)
    await further([*asking, *joining], events=4)

    await asyncio.to_thread(deployment.redis.stop)
    stopped = time.monotonic()
    others = [Reader(person, person.conversation(), at=server) for server in servers]
    for server, other in zip(servers, others, strict=True):
        assert (await asyncio.to_thread(sign_in, person, server)).status == 200
        assert (
            await asyncio.to_thread(person.call, "GET", "conversations", at=server)
        ).status == 200
        assert (await other.ask()).text == "Without Redis."
    await further(asking, events=4)
    await asyncio.sleep(stopped + DOWN_SECONDS - time.monotonic())
    await asyncio.to_thread(deployment.redis.start)
    for server in servers:
        await asyncio.to_thread(is_healthy, server)
    await asyncio.gather(*tasks)

    assert {reader.text for reader in [*asking, *joining]} == {"".join(WORDS)}
    stored = await agree(deployment.second, [*asking, *joining, *others])
    assert {message["status"] for message in stored} == {"complete"}
    again = await Reader(person, asking[0].conversation, at=servers[1]).join(asking[0])
    assert again.text == "".join(WORDS)


@pytest.mark.row("R3")
async def test_limits_still_bite_without_redis(alone, upstream, own_redis):
    """R3: counted in the process while the store is down."""
    with alone(REDIS_URL=own_redis.url, LIMIT_FACTOR="0.1") as server:
        own_redis.stop()

        def anonymous():
            return server.request(API + "conversations")

        answers = [await asyncio.to_thread(anonymous) for _number in range(70)]

    statuses = [answer.status for answer in answers]
    assert statuses.count(401) <= 61
    assert statuses[-1] == 429
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
