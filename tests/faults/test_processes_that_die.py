"""One server that is killed or asked to end while many turns run (F1, F2)."""

from __future__ import annotations

import asyncio
import random
import signal
import time

import pytest

from tests.e2e.person import register
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import HANG, Reply, answer, delta, sse
from tests.waiting import until

TURNS = 5
WORDS = numbers(100)
PAUSE = 0.1


async def kill_amid_turns(server, person, seed):
    """The readers of five turns that began at random moments, after a `kill -9` at another."""
    moments = random.Random(seed)  # noqa: S311 moments, not secrets
    readers = [Reader(person, person.conversation()) for _turn in range(TURNS)]
    tasks = []
    for reader in readers:
        tasks.append(asyncio.create_task(reader.ask()))
        await asyncio.sleep(moments.random())
    await all_began(readers)
    await asyncio.sleep(moments.random() * 3)
    server.send_signal(signal.SIGKILL)
    server.wait()
    await asyncio.gather(*tasks)
    return readers


async def check_kept(server, readers, upstream, *, lost):
    """Every turn is `interrupted` with all but so many words of what was read, whoever comes back
    gets its end, and its conversation goes on."""
    received = [(reader.text, reader.events[-1]["seq"]) for reader in readers]
    for reader in readers:
        reader.person.server = server
        await reader.go_on(at=server)
    stored = await agree(server, readers)
    upstream.script(answer("And on."))
    for reader, (text, seq), message in zip(readers, received, stored, strict=True):
        assert (message["status"], message["error"]["code"]) == ("interrupted", "unavailable")
        assert "".join(WORDS).startswith(message["content"])
        assert bool(message["usage"]["completion_tokens"]) == bool(message["content"])
        words_lost = len(text.split()) - len(message["content"].split())
        assert words_lost <= lost
        assert reader.end["seq"] > seq
        again = await Reader(reader.person, reader.conversation).ask()
        assert again.text == "And on."
    await agree(server, readers)


@pytest.mark.row("F1")
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_killed_at_any_moment_what_was_said_is_kept_and_it_goes_on(alone, upstream, seed):
    """F1: `interrupted` at the next start, with text 2 s old at most; here, 5. Twenty moments."""
    upstream.script(spoken(WORDS, seconds=PAUSE))
    with alone() as server:
        readers = await kill_amid_turns(server, register(server), seed)

    with alone() as again:
        await check_kept(again, readers, upstream, lost=5 / PAUSE)


@pytest.mark.row("F1")
async def test_killed_beside_a_redis_next_to_nothing_that_was_read_is_lost(
    alone, upstream, own_redis
):
    """F1: the text comes from the TurnLog, which is written every 50 ms; here, 500."""
    upstream.script(spoken(WORDS, seconds=PAUSE))
    with alone(REDIS_URL=own_redis.url) as server:
        readers = await kill_amid_turns(server, register(server), 4)

    with alone(REDIS_URL=own_redis.url) as again:
        await check_kept(again, readers, upstream, lost=0.5 / PAUSE)


@pytest.mark.row("F2")
async def test_asked_to_end_under_load_it_loses_nothing(alone, upstream):
    """F2: thirty running turns end whole within their grace, one that would not is cut off after
    20 s with its text; new ones are refused meanwhile. It is gone in 30 s; here, 300."""
    hanging = Reply((sse(delta("So far ")), HANG))
    upstream.script(hanging, spoken(numbers(30), seconds=PAUSE))
    with alone() as server:
        person = register(server)
        late = Reader(person, person.conversation())
        readers = [Reader(person, person.conversation()) for _turn in range(31)]
        tasks = [asyncio.create_task(reader.ask()) for reader in readers]
        await all_began(readers)
        began = time.monotonic()
        server.send_signal()
        await asyncio.to_thread(
            until, lambda: server.request("/health/ready").status == 503, "ready turns 503"
        )
        await late.ask()
        await asyncio.gather(*tasks)
        code = server.wait(seconds=300)
        took = time.monotonic() - began

    assert late.refused is not None
    assert (late.refused.status, late.refused.json()["code"]) == (503, "unavailable")
    assert "retry-after" in late.refused.headers
    assert 20 <= took < 300
    assert code in {0, -signal.SIGTERM}
    assert "Traceback" not in server.log
    with alone() as again:
        person.server = again
        stored = await agree(again, [*readers, late])
    cut_off = [each for each in stored if each["status"] != "complete"]
    assert [(each["status"], each["content"]) for each in cut_off] == [("interrupted", "So far ")]
    assert {each["content"] for each in stored} == {"So far ", "".join(numbers(30))}
