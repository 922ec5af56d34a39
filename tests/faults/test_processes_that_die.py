"""Servers that are killed or asked to end while many turns run (F1, F2)."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from tests.e2e.person import register, text_of
from tests.faults.provider import numbers, spoken
from tests.models_registry.upstream import answer
from tests.waiting import until

TURNS = 5
WORDS = numbers(100)
PAUSE = 0.1


async def read_until_cut(person, conversation, found):
    """Follow a turn for as long as its server lives; `found` fills meanwhile."""
    try:
        async with person.stream(
            f"conversations/{conversation}/messages/stream", {"content": "Count"}
        ) as stream:
            async for event in stream:
                found.append(event)
    except (OSError, TimeoutError, AssertionError, asyncio.IncompleteReadError):
        pass
    except Exception as cut:
        if type(cut).__module__.split(".")[0] != "aiohttp":
            raise


async def kill_amid_turns(server, person, seed):
    """What the readers of five turns saw, until a `kill -9` a moment later."""
    moments = random.Random(seed)  # noqa: S311 moments, not secrets
    found: list[list[dict]] = [[] for _turn in range(TURNS)]
    readers = []
    for seen in found:
        readers.append(asyncio.create_task(read_until_cut(person, person.conversation(), seen)))
        await asyncio.sleep(moments.random())
    await asyncio.to_thread(until, lambda: all(found), "every turn has begun")
    await asyncio.sleep(moments.random() * 3)
    server.send_signal(signal.SIGKILL)
    server.wait()
    await asyncio.gather(*readers)
    return found


async def check_kept(person, seen, upstream):
    """The message of a turn that died, once it is `interrupted` and its conversation goes on."""
    path = f"messages/{seen[0]['message_id']}"
    await asyncio.to_thread(
        until,
        lambda: person.call("GET", path).json()["status"] == "interrupted",
        "the turn is closed",
        seconds=120,
    )
    message = person.call("GET", path).json()
    assert message["error"]["code"] == "unavailable"
    assert "".join(WORDS).startswith(message["content"])
    assert bool(message["usage"]["completion_tokens"]) == bool(message["content"])
    # A reader that comes back with more than was stored gets the end, too.
    end = (await person.read(f"{path}/stream?after={seen[-1]['seq']}"))[-1]
    assert (end["type"], end["message"]) == ("chat_complete", message)
    upstream.script(answer("And on."))
    conversation = message["conversation_id"]
    sent = person.call("POST", f"conversations/{conversation}/messages", {"content": "x"})
    assert sent.json()["message"]["content"] == "And on."
    return message, end


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_at_any_moment_what_was_said_is_kept_and_it_goes_on(alone, upstream, seed):
    """F1: `interrupted` at the next start, with text 2 s old at most; here, 5."""
    upstream.script(spoken(WORDS, seconds=PAUSE))
    with alone() as server:
        person = register(server)
        found = await kill_amid_turns(server, person, seed)

    with alone() as again:
        person.server = again
        for seen in found:
            message, _end = await check_kept(person, seen, upstream)
            words_lost = len(text_of(seen).split()) - len(message["content"].split())
            assert words_lost * PAUSE < 5


async def test_killed_beside_a_redis_next_to_nothing_that_was_read_is_lost(
    alone, upstream, own_redis
):
    """F1: the text comes from the TurnLog, which is written every 50 ms; here, 500."""
    upstream.script(spoken(WORDS, seconds=PAUSE))
    with alone(REDIS_URL=own_redis.url) as server:
        person = register(server)
        found = await kill_amid_turns(server, person, 4)

    with alone(REDIS_URL=own_redis.url) as again:
        person.server = again
        for seen in found:
            message, end = await check_kept(person, seen, upstream)
            words_lost = len(text_of(seen).split()) - len(message["content"].split())
            assert words_lost * PAUSE < 0.5
            if words_lost <= 0:
                assert end["seq"] > seen[-1]["seq"]


async def test_asked_to_end_under_load_it_loses_nothing(alone, upstream):
    """F2: thirty running turns end whole within their grace; new ones are refused meanwhile."""
    upstream.script(spoken(numbers(30), seconds=PAUSE))
    with alone() as server:
        person = register(server)
        late = person.conversation()
        conversations = [person.conversation() for _turn in range(30)]
        found: list[list[dict]] = [[] for _turn in conversations]
        readers = [
            asyncio.create_task(read_until_cut(person, conversation, seen))
            for conversation, seen in zip(conversations, found, strict=True)
        ]
        await asyncio.to_thread(until, lambda: all(found), "every turn has begun")
        server.send_signal()
        await asyncio.to_thread(
            until, lambda: server.request("/health/ready").status == 503, "ready turns 503"
        )
        refused = person.call("POST", f"conversations/{late}/messages", {"content": "x"})
        await asyncio.gather(*readers)
        code = server.wait(seconds=300)

    assert (refused.status, refused.json()["code"]) == (503, "unavailable")
    assert "retry-after" in refused.headers
    assert {seen[-1]["type"] for seen in found} == {"chat_complete"}
    assert {seen[-1]["message"]["status"] for seen in found} == {"complete"}
    assert {text_of(seen) for seen in found} == {"".join(numbers(30))}
    assert code in {0, -signal.SIGTERM}
    assert "Traceback" not in server.log
