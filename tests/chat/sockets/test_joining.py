"""A frame that joins a turn which its key began elsewhere."""

from __future__ import annotations

import pytest

from chat.models import Turn
from chat.services.turn_requests import send_message
from common.db import in_thread
from common.lookout import look_once
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Socket
from tests.chat.conftest import Gate

pytestmark = pytest.mark.django_db(transaction=True)


async def test_joining_a_turn_that_was_announced_is_answered_from_its_start(
    serving, alice, token, conversation, script
):
    """T2: the `ref` comes with what the frame gets first."""
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))

    async with Socket(token=token) as socket:
        await socket.quiet()
        await in_thread(send_message)(alice, conversation.id, content="Hi", idempotency_key="k")
        start = await socket.receive()
        frame = {"type": "chat", "conversation_id": str(conversation.id), "content": "Hi"}
        socket.send(frame | {"idempotency_key": "k", "ref": "mine"})
        joined = await socket.receive()
        gate.open()
        rest = await socket.until("chat_complete", "chat_error")
        await look_once()
        await socket.quiet()

    told = [start, joined, *rest]
    assert [event["type"] for event in told] == [
        "chat_start",
        "chat_start",
        "chat_chunk",
        "chat_chunk",
        "chat_complete",
    ]
    assert [event.get("ref") for event in told] == [None, "mine", None, None, None]
    assert await Turn.objects.acount() == 1
