"""Which frames count, and what becomes of the others."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Closed, Socket

pytestmark = pytest.mark.django_db(transaction=True)

DEEP = '{"type": "ping", "x": ' + "[" * 40 + "]" * 40 + "}"

BAD = {
    "binary": b'{"type": "ping"}',
    "no JSON": "ping",
    "an array": "[]",
    "a number": "5",
    "null": "null",
    "no type": "{}",
    "a type of no text": '{"type": 5}',
    "an unknown type": '{"type": "execute"}',
    "a method of ours": '{"type": "websocket_receive"}',
    "a nudge of ours": '{"type": "turn.began"}',
    "NUL": '{"type": "chat", "content": "a\\u0000b"}',
    "half a pair": '{"type": "chat", "content": "\\ud800"}',
    "half a pair in a key": '{"type": "ping", "\\ud800": 1}',
    "depth": DEEP,
    "1e999": '{"type": "ping", "x": 1e999}',
    "NaN": '{"type": "ping", "x": NaN}',
    "5,000 digits": '{"type": "ping", "x": ' + "9" * 5000 + "}",
    "a wrong id": '{"type": "stop", "message_id": "x"}',
    "a number as id": '{"type": "stop", "message_id": 5}',
    "no id": '{"type": "stop"}',
    "a wrong after": json.dumps({"type": "resume", "message_id": str(uuid4()), "after": "x"}),
    "white space": '{"type": "chat", "content": "  \\n"}',
    "too much text": json.dumps({"type": "chat", "content": "a" * 100_001}),
    "attachments": '{"type": "chat", "content": "a", "attachments": ["x"]}',
    "a key of nothing": '{"type": "chat", "content": "a", "idempotency_key": ""}',
    "a key with a newline": '{"type": "chat", "content": "a", "idempotency_key": "a\\nb"}',
    "a long key": json.dumps({"type": "chat", "content": "a", "idempotency_key": "k" * 256}),
}


@pytest.mark.row("W9", "I3", "I4", "I8")
@pytest.mark.parametrize("frame", BAD.values(), ids=BAD.keys())
async def test_a_bad_frame_is_told_and_the_socket_stays(serving, token, frame):
    """W9, I3, I4, I8: then a good one works."""
    async with Socket(token=token) as socket:
        told = await socket.ask(frame)

        assert (told["type"], told["code"]) == ("error", "invalid")
        assert set(told) <= {"type", "ref", "code", "detail", "errors"}
        await socket.quiet()


@pytest.mark.row("W9")
@pytest.mark.parametrize("ref", ["", "r" * 65, 5, ["a"], {"a": 1}, True])
async def test_a_ref_that_is_none_is_refused_and_not_echoed(serving, token, ref):
    async with Socket(token=token) as socket:
        told = await socket.ask({"type": "ping", "ref": ref})

        assert (told["type"], told["ref"]) == ("error", None)
        await socket.quiet()


async def test_null_in_an_optional_field_is_the_same_as_leaving_it_out(
    serving, token, conversation, script
):
    script(TextDelta("Hi"), Finished("stop"))
    chat = {"type": "chat", "conversation_id": str(conversation.id), "content": "Hi"}
    optional = dict.fromkeys(("ref", "model", "idempotency_key", "attachments"))

    async with Socket(token=token) as socket:
        socket.send(chat | optional)
        events = await socket.until("chat_complete", "error")
        assert events[-1]["type"] == "chat_complete"
        assert "ref" not in events[0]

        message_id = events[-1]["message_id"]
        socket.send({"type": "resume", "message_id": message_id, "after": None, "ref": None})
        assert await socket.until("chat_complete", "error") == events
        assert await socket.ask({"type": "ping", "ref": None}) == {"type": "pong"}


async def test_a_ref_comes_back_with_the_error_of_its_frame(serving, token):
    async with Socket(token=token) as socket:
        told = await socket.ask({"type": "stop", "ref": "r" * 64})
        assert told["ref"] == "r" * 64
        assert "message_id" in told["errors"]

        told = await socket.ask({"type": "stop", "message_id": str(uuid4()), "ref": "gone"})
        assert (told["ref"], told["code"]) == ("gone", "not_found")


@pytest.mark.row("W9")
async def test_twenty_bad_frames_within_a_minute_close_the_socket(serving, token):
    """W9: what is only refused does not count."""
    async with Socket(token=token) as socket:
        for _ in range(20):
            await socket.ask({"type": "stop", "message_id": str(uuid4())})
        for _ in range(19):
            await socket.ask("nonsense")
        await socket.quiet()

        socket.send("nonsense")

        assert await socket.close_code() == 4400


@pytest.mark.row("W7")
async def test_a_flood_of_frames_closes_the_socket(serving, token):
    """W7: a burst of 120 passes."""
    async with Socket(token=token) as socket:
        for _ in range(120):
            await socket.ask({"type": "ping"})
        for _ in range(200):
            socket.send({"type": "ping"})

        assert await socket.close_code() == 4429


@pytest.mark.row("W7")
async def test_the_frames_of_a_persons_sockets_are_counted_together(serving, token, settings):
    settings.SOCKET_USER_FRAMES_PER_SECOND = 10
    async with Socket(token=token) as first, Socket(token=token) as second:
        for _ in range(20):
            first.send({"type": "ping"})
            second.send({"type": "ping"})

        assert {await first.close_code(), await second.close_code()} == {4429}


async def test_frames_after_the_close_are_not_handled(serving, token, settings):
    settings.SOCKET_FRAME_BURST = 1
    async with Socket(token=token) as socket:
        for _ in range(50):
            socket.send({"type": "ping"})

        assert (await socket.receive())["type"] == "pong"
        with pytest.raises(Closed, match="4429"):
            await socket.receive()


@pytest.mark.row("G3")
async def test_a_bug_in_a_handler_is_told_as_internal_and_nothing_more(
    serving, token, monkeypatch, caplog
):
    """The socket stays."""

    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("secret of ours")

    monkeypatch.setattr("chat.consumers.request_stop", broken)
    async with Socket(token=token) as socket:
        told = await socket.ask({"type": "stop", "message_id": str(uuid4()), "ref": "a"})

        assert (told["code"], told["ref"]) == ("internal", "a")
        assert "secret" not in json.dumps(told)
        await socket.quiet()
