"""The same request many times, two requests at once, and a stop: one turn each, on the wire."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.e2e.person import API
from tests.models_registry.upstream import HANG, Reply, Wait, answer, delta, sse


async def post(person, path, body, *, at, **headers):
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(at.url + API + path, json=body, headers=person.headers | headers) as reply,
    ):
        return reply.status, await reply.json(content_type=None)


@pytest.mark.row("T2")
async def test_fifty_identical_posts_with_one_key_are_one_turn(upstream, person, servers):
    """T2: one turn, one provider call, 50 equal answers, from both processes."""
    gate = Wait()
    upstream.script(Reply((sse(delta("Once. ")), gate, *answer("Only.").steps)))
    conversation = person.conversation()
    path = f"conversations/{conversation}/messages"

    posts = [
        asyncio.create_task(
            post(
                person, path, {"content": "Hi"}, at=servers[number % 2], **{"Idempotency-Key": "k1"}
            )
        )
        for number in range(50)
    ]
    await upstream.was_asked()
    gate.set()
    answers = await asyncio.gather(*posts)

    assert {status for status, _body in answers} == {201}
    assert len({body["message"]["id"] for _status, body in answers}) == 1
    assert all(body == answers[0][1] for _status, body in answers)
    assert answers[0][1]["message"]["content"] == "Once. Only."
    assert len(upstream.chats) == 1
    listed = person.call("GET", path).json()["results"]
    assert [row["role"] for row in listed] == ["user", "assistant"]


@pytest.mark.row("T4")
async def test_two_tabs_at_once_are_one_turn_and_one_conflict(upstream, person, servers):
    """T4."""
    gate = Wait()
    upstream.script(Reply((gate, *answer("For one of you.").steps)))
    conversation = person.conversation()
    path = f"conversations/{conversation}/messages"

    tabs = [
        asyncio.create_task(post(person, path, {"content": "Hi"}, at=server)) for server in servers
    ]
    done, _waiting = await asyncio.wait(tabs, return_when=asyncio.FIRST_COMPLETED)
    refused = done.pop().result()
    gate.set()
    answers = await asyncio.gather(*tabs)

    assert (refused[0], refused[1]["code"]) == (409, "conflict")
    assert sorted(status for status, _body in answers) == [201, 409]
    assert len(upstream.chats) == 1
    assert person.call("GET", f"conversations/{conversation}").json()["message_count"] == 2


@pytest.mark.row("F15")
async def test_stop_from_another_process_closes_the_provider_and_keeps_text_and_usage(
    upstream, person, servers
):
    """F15: the provider sees its connection close; the text stays, marked `stopped`."""
    upstream.script(Reply((sse(delta("Enough of th")), HANG)))
    conversation = person.conversation()
    async with person.stream(
        f"conversations/{conversation}/messages/stream", {"content": "Talk"}
    ) as stream:
        start, _chunk = await anext(stream), await anext(stream)

        stopped = await asyncio.to_thread(
            person.call, "POST", f"messages/{start['message_id']}/stop", at=servers[1]
        )
        end = [event async for event in stream][-1]

    assert stopped.status == 200
    assert stopped.json()["status"] == "stopped"
    assert await upstream.chats[0].was_left()
    assert (end["type"], end["message"]["status"]) == ("chat_complete", "stopped")
    assert end["message"]["content"] == "Enough of th"
    assert end["message"]["usage"]["prompt_tokens"] > 0
    assert end["message"]["usage"]["completion_tokens"] > 0
