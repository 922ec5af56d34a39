"""Redis flushed, stopped and started again in the middle of answers (F4)."""

from __future__ import annotations

import asyncio

from tests.e2e.person import API, register, text_of
from tests.faults.provider import numbers, spoken
from tests.models_registry.upstream import answer
from tests.waiting import until

WORDS = numbers(100)


def sign_in(person):
    body = {"username": person.username, "password": "correct horse 9!"}
    return person.server.request(f"{API}auth/login", method="POST", body=body, timeout=60)


async def test_flushed_and_stopped_in_mid_answer_the_text_is_whole(alone, upstream, own_redis):
    """F4: turns, sign-in, sending and reading go on; healthy again without a restart."""
    upstream.script(spoken(WORDS, seconds=0.1), answer("Without Redis."))
    with alone(REDIS_URL=own_redis.url) as server:
        person = register(server)
        conversation, other = person.conversation(), person.conversation()
        path = f"conversations/{conversation}/messages/stream"
        async with person.stream(path, {"content": "Count"}) as stream:
            found = [await anext(stream) for _event in range(4)]
            await asyncio.to_thread(own_redis.flush)
            found += [await anext(stream) for _event in range(4)]
            await asyncio.to_thread(own_redis.stop)
            signed_in = await asyncio.to_thread(sign_in, person)
            sent = await asyncio.to_thread(
                person.call, "POST", f"conversations/{other}/messages", {"content": "Hi"}
            )
            read = await asyncio.to_thread(person.call, "GET", "conversations")
            found += [await anext(stream) for _event in range(4)]
            await asyncio.to_thread(own_redis.start)
            found += [event async for event in stream]

        assert signed_in.status == 200
        assert (sent.status, read.status) == (201, 200)
        assert sent.json()["message"]["content"] == "Without Redis."
        assert found[-1]["message"]["status"] == "complete"
        assert found[-1]["message"]["content"] == text_of(found) == "".join(WORDS)
        again = await person.read(f"messages/{found[0]['message_id']}/stream")
        assert text_of(again) == "".join(WORDS)
        await asyncio.to_thread(
            until,
            lambda: server.request("/health").json()["status"] == "healthy",
            "healthy again",
            seconds=100,
        )


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
