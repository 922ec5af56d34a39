"""T8: after a thousand turns of every kind, stopped, left and killed, the books balance."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from itertools import count

import aiohttp
import pytest

from tests.e2e.conftest import serving
from tests.e2e.person import API
from tests.e2e.test_leaving_and_dying import without_port
from tests.e2e.test_quotas import CHIEF, books_balance, quota, with_plan
from tests.faults.provider import spoken
from tests.models_registry.upstream import CUT, HANG, RESET, Reply, answer, delta, refusal, sse
from tests.server import launch, wait_until_ready

TURNS = 1_000
AT_ONCE = 40
REPLIES = (
    *[lambda: answer("One ", "two ", "three.")] * 6,
    lambda: spoken(["Slow ", "and ", "slow."], seconds=0.1),
    lambda: Reply((sse(delta("Cut ")), CUT)),
    lambda: Reply((sse(delta("Reset ")), RESET)),
    lambda: Reply((sse(delta("Silent ")), HANG)),
    lambda: refusal(401),
    lambda: refusal(500),
    lambda: refusal(429, retry_after="1"),
)
LIMITS = (
    ("requests", "day", 10**6),
    ("tokens", "month", 10**9),
    ("tokens", "minute", 10**9),
    ("cost", "total", "1000000"),
)


class Crowd:
    """One person's clients, who each read, leave or stop as it comes."""

    def __init__(self, person, servers, *, seed):
        self.person = person
        self.servers = list(servers)
        self.chance = random.Random(seed)  # noqa: S311 the same in every run
        self.numbers = count()
        self.began = set()

    async def live(self, session):
        while (number := next(self.numbers)) < TURNS:
            server = self.servers[number % 2]
            manner = self.chance.choice(["read", "read", "read", "leave", "stop", "once"])
            try:
                await self.turn(session, server, manner)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)  # killed under it, and not yet there again

    async def turn(self, session, server, manner):
        base = server.url + API
        if manner == "once":
            body = {"messages": [{"role": "user", "content": "Hi"}], "model": "mock"}
            async with session.post(f"{base}chat", json=body) as told:
                await told.read()
            return
        async with session.post(f"{base}conversations", json={"title": "Chaos"}) as made:
            conversation = (await made.json())["id"]
        path = f"{base}conversations/{conversation}/messages/stream"
        async with session.post(path, json={"content": "Hi"}) as stream:
            if stream.status != 200:
                return
            async for line in stream.content:
                if line.startswith(b"data:"):
                    message = json.loads(line[5:])["message_id"]
                    self.began.add(message)
                    if manner == "leave":
                        return
                    if manner == "stop":
                        async with session.post(f"{base}messages/{message}/stop") as told:
                            await told.read()


async def nothing_held(person):
    async with asyncio.timeout(120):
        while True:
            limits = await asyncio.to_thread(quota, person)
            if all(float(each["held"]) == 0 for each in limits):
                return {(each["metric"], each["period"]): each for each in limits}
            await asyncio.sleep(0.2)


@pytest.mark.row("T8")
async def test_after_a_thousand_turns_and_a_kill_the_books_balance(tmp_path, upstream):
    dice = random.Random(8)  # noqa: S311 the same in every run
    upstream.script(*[dice.choice(REPLIES)() for _reply in range(2 * TURNS)], answer("Enough."))
    environ = CHIEF | {"PROVIDER_SILENCE_SECONDS": "2", "PROVIDER_FIRST_TOKEN_SECONDS": "5"}
    with serving(tmp_path / "data", upstream, **environ) as servers:
        first, second = servers
        person = await asyncio.to_thread(with_plan, first, *LIMITS)
        crowd = Crowd(person, servers, seed=9)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout, headers=person.headers) as session:
            lives = [asyncio.create_task(crowd.live(session)) for _each in range(AT_ONCE)]
            while len(crowd.began) < TURNS // 3:
                await asyncio.sleep(0.05)
            first.send_signal(signal.SIGKILL)
            first.wait()
            again = launch(first.data_dir, **without_port(first))
            try:
                await asyncio.to_thread(wait_until_ready, again)
                crowd.servers = [again, again if second is first else second]
                await asyncio.gather(*lives)
                person.server = again

                limits = await nothing_held(person)
                usage = person.call("GET", "users/me/usage").json()["results"]
                stats = person.call("GET", "users/me/stats").json()
                books_balance(again)
            finally:
                again.stop()

    requests = sum(day["requests"] for day in usage)
    assert limits["requests", "day"]["used"] == requests
    assert limits["tokens", "month"]["used"] == sum(day["total_tokens"] for day in usage)
    assert len(crowd.began) <= stats["messages"] // 2 <= requests
