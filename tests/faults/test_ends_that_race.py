"""Finish, stop and delete at once, over HTTP and sockets: one end (T5)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from tests.e2e.conftest import serving
from tests.e2e.person import register
from tests.faults.provider import numbers, spoken

ROUNDS = 40
ENDS = {"chat_complete", "chat_error"}


async def race(person, conversation, servers, moments, *, delete):
    """The events of a turn that is stopped twice, and perhaps deleted, about when it ends."""
    found: list[dict] = []

    async def read():
        path = f"conversations/{conversation}/messages/stream"
        async with person.stream(path, {"content": "Count"}) as stream:
            async for event in stream:
                found.append(event)
                begun.set()

    async def act(method, path, at):
        await asyncio.sleep(moments.random() * 0.15)
        return await asyncio.to_thread(person.call, method, path, at=at)

    begun = asyncio.Event()
    reading = asyncio.create_task(read())
    await begun.wait()
    stop = f"messages/{found[0]['message_id']}/stop"
    acts = [act("POST", stop, servers[0]), act("POST", stop, servers[1])]
    if delete:
        acts.append(act("DELETE", f"conversations/{conversation}", servers[1]))
    answers = await asyncio.gather(*acts)
    await reading
    return found, answers


@pytest.mark.row("T5")
async def test_of_finish_stop_and_delete_at_once_one_ends_the_turn(tmp_path, upstream):
    """T5: one end state, one end event, one settlement."""
    moments = random.Random(5)  # noqa: S311 moments, not secrets
    upstream.script(spoken(numbers(5), seconds=0.02))
    with serving(tmp_path, upstream) as servers:
        person = register(servers[0])
        ends: Counter[str] = Counter()
        used = 0
        for number in range(ROUNDS):
            delete = number % 4 == 3
            conversation = person.conversation()

            found, answers = await race(person, conversation, servers, moments, delete=delete)

            assert [event["type"] in ENDS for event in found].count(True) == 1
            assert found[-1]["type"] in ENDS
            assert {answer.status for answer in answers} <= {200, 204, 404}
            shown = person.call("GET", f"messages/{found[0]['message_id']}")
            if delete:
                assert shown.status == 404
                assert person.call("GET", f"conversations/{conversation}").status == 404
                continue
            stored = shown.json()
            assert stored == found[-1]["message"]
            assert stored["status"] in {"complete", "stopped"}
            summed = person.call("GET", f"conversations/{conversation}").json()["tokens"]
            assert summed == stored["usage"]["total_tokens"]
            used += summed
            ends[stored["status"]] += 1

        assert used
        assert ends["stopped"], "no round was a race"
        assert all("Traceback" not in server.log for server in servers)
