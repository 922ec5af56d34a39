"""One `Idempotency-Key` is one turn, whatever it comes by: JSON, stream or frame (T1)."""

from __future__ import annotations

import pytest

from chat.models import Turn
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request, Socket
from tests.chat.sockets.test_turns import ENDS, say

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.row("T1")
@pytest.mark.parametrize("first", [0, 1, 2])
async def test_what_is_left_out_is_its_default_whatever_it_comes_by(
    serving, token, conversation, script, first
):
    """T1: nothing said, everything said, and half of it."""
    for _ in range(2):
        script(TextDelta("Once"), Finished("stop"))
    path, headers = f"conversations/{conversation.id}/messages", {"Idempotency-Key": "k"}
    before = await Request("POST", path, token=token, body={"content": "Before"}).json()
    newest = {"parent_id": before["message"]["id"]}

    async def in_json():
        body = {"content": "Hi", "parameters": {}, "attachments": [], **newest}
        return (await Request("POST", path, token=token, body=body, headers=headers).json())[
            "message"
        ]

    async def in_a_stream():
        body = {"content": "Hi", "model": "echo", "parameters": {"seed": None}}
        asked = Request("POST", f"{path}/stream", token=token, body=body, headers=headers)
        return (await asked.events())[-1]["message"]

    async def in_frames():
        async with Socket(token=token) as socket:
            socket.send(say(conversation, idempotency_key="k"))
            return (await socket.until(*ENDS))[-1]["message"]

    roads = [in_json, in_a_stream, in_frames]
    answers = [await ask() for ask in (*roads[first:], *roads[:first], *roads)]

    assert {answer["id"] for answer in answers} == {answers[0]["id"]}
    assert answers[0]["id"] != before["message"]["id"]
    assert await Turn.objects.acount() == 2


@pytest.mark.row("T1")
async def test_one_key_is_one_turn_whatever_it_comes_by(serving, token, conversation, script):
    """T1: JSON, stream and frame are one operation."""
    script(TextDelta("Once"), Finished("stop"))
    path, headers = f"conversations/{conversation.id}/messages", {"Idempotency-Key": "k"}
    body = {"content": "Hi", "attachments": []}

    answer = await Request("POST", path, token=token, body=body, headers=headers).json()
    stream = Request("POST", f"{path}/stream", token=token, body=body, headers=headers)
    streamed = await stream.events()
    async with Socket(token=token) as socket:
        socket.send(say(conversation, idempotency_key="k"))
        framed = await socket.until(*ENDS)

    assert streamed[-1]["message"] == framed[-1]["message"] == answer["message"]
    assert await Turn.objects.acount() == 1


@pytest.mark.row("T1")
async def test_of_a_field_that_comes_twice_the_last_one_counts_for_the_key_too(
    serving, token, conversation, script
):
    script(TextDelta("Once"), Finished("stop"))
    path, headers = f"conversations/{conversation.id}/messages", {"Idempotency-Key": "k"}

    async def post(raw):
        asked = Request("POST", path, token=token, body=raw, headers=headers)
        return await asked.json()

    first = await post(b'{"content": "Ho", "content": "Hi"}')
    again = await post(b'{"content": "Hi"}')
    other = await post(b'{"content": "Hi", "content": "Ho"}')

    assert first["user_message"]["content"] == "Hi"
    assert again == first
    assert other["code"] == "idempotency_conflict"
    assert await Turn.objects.acount() == 1
