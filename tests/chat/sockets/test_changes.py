"""What a job changes in a conversation is told to the sockets of its person."""

from __future__ import annotations

import asyncio

import pytest

from chat.services import titles
from chat.services.turn_requests import send_message
from common.db import in_thread
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Socket

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_title_is_told_to_every_socket_of_its_person_and_to_no_other(
    serving, token, stranger, alice, conversation, script
):
    script(TextDelta("Hello"), Finished("stop"))
    script(TextDelta("A greeting"), Finished("stop"))
    async with (
        Socket(token=token) as one,
        Socket(token=token) as other,
        Socket(token=stranger) as foreign,
    ):
        await in_thread(send_message)(alice, conversation.id, content="Hi")
        await one.until("chat_complete")

        await asyncio.to_thread(titles.write_titles)

        for socket in (one, other):
            told = (await socket.until("conversation_updated"))[-1]["conversation"]
            assert (told["id"], told["title"]) == (str(conversation.id), "A greeting")
            assert told["title_source"] == "auto"
        assert (await foreign.ask({"type": "ping"}))["type"] == "pong"
