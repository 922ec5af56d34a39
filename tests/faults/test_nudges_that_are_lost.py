"""A channel layer that delivers nothing (W11)."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.conftest import serving
from tests.e2e.person import register
from tests.models_registry.upstream import HANG, Reply, answer, delta, sse


@pytest.mark.row("W11")
async def test_without_any_layer_message_sockets_see_what_began_and_ended_elsewhere(
    tmp_path, upstream
):
    """W11: complete within 10 s; here, 60."""
    with serving(tmp_path, upstream, DJANGO_SETTINGS_MODULE="tests.faults.layers") as servers:
        first, second = servers
        person = register(first)
        conversation = person.conversation()
        upstream.script(answer("Found ", "anyway."))
        async with person.socket(at=second) as socket:
            await socket.send(type="ping")
            await socket.until("pong")
            began = time.monotonic()
            sent = await asyncio.to_thread(
                person.call, "POST", f"conversations/{conversation}/messages", {"content": "Hi"}
            )
            async with asyncio.timeout(60):
                frames = await socket.until("chat_complete")

        assert sent.status == 201, sent.body
        assert frames[-1]["message"]["content"] == "Found anyway."
        assert time.monotonic() - began < 60

        upstream.script(Reply((sse(delta("Enough of")), HANG)))
        path = f"conversations/{conversation}/messages/stream"
        async with person.stream(path, {"content": "More"}) as stream:
            start, _chunk = await anext(stream), await anext(stream)
            stopped = await asyncio.to_thread(
                person.call, "POST", f"messages/{start['message_id']}/stop", at=second
            )
            end = [event async for event in stream][-1]

        assert stopped.json()["status"] == "stopped"
        assert (end["type"], end["message"]["content"]) == ("chat_complete", "Enough of")
