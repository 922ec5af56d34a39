"""What was said is safe whatever breaks: readers that leave, processes that die."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.e2e.person import register
from tests.events import text_of
from tests.models_registry.upstream import HANG, Reply, Wait, answer, delta, sse
from tests.server import launch, wait_until_ready


async def settled(person, message, *, at=None):
    """The message once its turn has ended."""
    async with asyncio.timeout(60):
        while True:
            shown = await asyncio.to_thread(person.call, "GET", f"messages/{message}", at=at)
            if shown.status == 200 and shown.json()["status"] != "streaming":
                return shown.json()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("leave_after", [0, 1, 2])
async def test_the_reader_leaves_and_the_answer_is_completed(upstream, person, leave_after):
    gate = Wait()
    upstream.script(Reply((sse(delta("One ")), gate, *answer("two.").steps)))
    conversation = person.conversation()
    path = f"conversations/{conversation}/messages/stream"
    async with person.stream(path, {"content": "Hi"}) as stream:
        found = []
        async for event in stream:
            found.append(event)
            if len(found) > min(leave_after, 1):
                break
    gate.set()

    message = await settled(person, found[0]["message_id"])

    assert (message["status"], message["content"]) == ("complete", "One two.")


@pytest.mark.row("F1")
async def test_a_process_is_killed_in_mid_answer_and_nothing_is_lost(servers_at, upstream):
    """F1: `interrupted` with its text, the conversation goes on, no message is lost."""
    with servers_at() as (first, second):
        person = register(first)
        conversation = person.conversation()
        upstream.script(Reply((sse(delta("Saved so far")), HANG)))
        async with person.stream(
            f"conversations/{conversation}/messages/stream", {"content": "Hi"}
        ) as stream:
            start = await anext(stream)
            await anext(stream)
            message = start["message_id"]
            await until_checkpointed(person, message, "Saved so far")
            first.send_signal(signal.SIGKILL)
            first.wait()
        survivor = second
        if first is second:
            survivor = launch(first.data_dir, **without_port(first))
        try:
            wait_until_ready(survivor)

            ended = await settled(person, message, at=survivor)

            assert ended["status"] == "interrupted"
            assert ended["content"] == "Saved so far"
            assert ended["error"]["code"] == "unavailable"
            assert ended["usage"]["completion_tokens"] > 0
            upstream.script(answer("And on."))
            again = await person.read(
                f"conversations/{conversation}/messages/stream", {"content": "Go on"}, at=survivor
            )
            assert text_of(again) == "And on."
            listed = person.call(
                "GET", f"conversations/{conversation}/messages", at=survivor
            ).json()
            assert [row["role"] for row in listed["results"]] == ["user", "assistant"] * 2
        finally:
            survivor.stop()


@pytest.mark.row("F2")
async def test_sigterm_ends_turns_politely_within_their_grace(servers_at, upstream):
    """F2: ready 503 at once, new turns refused, running ones end, the reader gets the end."""
    with servers_at(SHUTDOWN_TURN_SECONDS="1") as (server, _other):
        person = register(server)
        conversation, refused = person.conversation(), person.conversation()
        upstream.script(Reply((sse(delta("Cut off")), HANG)))
        async with person.stream(
            f"conversations/{conversation}/messages/stream", {"content": "Hi"}
        ) as stream:
            found = [await anext(stream), await anext(stream)]
            server.send_signal()
            ready = await asyncio.to_thread(until_not_ready, server)
            new = await asyncio.to_thread(
                person.call, "POST", f"conversations/{refused}/messages", {"content": "Hi"}
            )
            found += [event async for event in stream]

        assert ready == 503
        assert (new.status, new.json()["code"]) == (503, "unavailable")
        assert found[-1]["type"] == "chat_complete"
        assert found[-1]["message"]["status"] == "interrupted"
        assert found[-1]["message"]["content"] == "Cut off"
        assert await asyncio.to_thread(server.wait) in {0, 143, -15}
        assert "Traceback" not in server.log


def until_not_ready(server):
    for _try in range(200):
        status = server.request("/health/ready").status
        if status != 200:
            return status
    return 200


async def until_checkpointed(person, message, text):
    async with asyncio.timeout(20):
        while True:
            shown = await asyncio.to_thread(person.call, "GET", f"messages/{message}")
            if shown.json()["content"] == text:
                return
            await asyncio.sleep(0.05)


def without_port(server):
    return {
        name: value
        for name, value in server.environ.items()
        if name not in {"PORT", "DATA_DIR"} and name.isupper() and isinstance(value, str)
    }
