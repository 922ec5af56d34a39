"""E5: what a person follows over all their sockets counts, from the frame that asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from accounts.services.callers import Caller
from chat.models import Conversation
from chat.services.turn_requests import send_message
from common.db import in_thread
from common.streaming import Slot
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request, Socket
from tests.chat.conftest import Gate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.row("E5")]


@pytest.fixture
async def speaking(serving: None, alice: Caller, conversation: Conversation, script: Any) -> Any:
    """A turn that goes on until its gate is opened."""
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))
    started = await in_thread(send_message)(alice, conversation.id, content="Hi")
    yield started.ref
    gate.open()


def resume(turn: Any, ref: str) -> dict[str, Any]:
    return {"type": "resume", "message_id": str(turn.message_id), "after": 0, "ref": ref}


async def freed(caller: Caller) -> None:
    async with asyncio.timeout(10):
        while caller.user.pk in Slot._held:  # noqa: SLF001 nobody else need know
            await asyncio.sleep(0.01)


async def test_a_burst_of_frames_does_not_pass_the_check_together(speaking, alice, token, settings):
    settings.STREAMS_PER_USER = 2

    async with Socket(token=token) as socket:
        for number in range(6):
            socket.send(resume(speaking, f"r{number}"))
        told = [await socket.receive() for _ in range(5)]

    refused = [frame for frame in told if frame["type"] == "error"]
    assert [frame["code"] for frame in refused] == ["rate_limited"] * 4
    assert {frame["ref"] for frame in refused} == {"r2", "r3", "r4", "r5"}
    await freed(alice)


async def test_the_sockets_and_streams_of_a_person_share_one_count(
    speaking, alice, token, stranger, settings
):
    settings.STREAMS_PER_USER = 2
    stream = Request("GET", f"messages/{speaking.message_id}/stream", token=token)
    assert await stream.begun() == 200

    async with Socket(token=token) as first, Socket(token=token) as second:
        first.send(resume(speaking, "one"))
        assert (await first.receive())["ref"] == "one"
        told = await second.ask(resume(speaking, "two"))
        assert (told["type"], told["code"], told["ref"]) == ("error", "rate_limited", "two")
        async with Socket(token=stranger) as other:
            told = await other.ask(resume(speaking, "theirs"))
            assert told["code"] == "not_found"
        await first.leave()
        await until_one_is_left(alice)
        assert (await second.ask(resume(speaking, "again")))["ref"] == "again"

    await stream.leave()
    await freed(alice)


async def until_one_is_left(caller: Caller) -> None:
    async with asyncio.timeout(10):
        while Slot._held[caller.user.pk] > 1:  # noqa: SLF001 nobody else need know
            await asyncio.sleep(0.01)


async def test_a_stream_that_ended_gives_its_place_back(
    serving, alice, token, conversation, script, settings
):
    settings.STREAMS_PER_USER = 1

    async with Socket(token=token) as socket:
        for _ in range(3):
            script(TextDelta("a"), Finished("stop"))
            socket.send({"type": "chat", "conversation_id": str(conversation.id), "content": "Hi"})
            events = await socket.until("chat_complete", "chat_error", "error")
            assert events[-1]["type"] == "chat_complete"
            await freed(alice)
