"""Stopping, answering again, and turns without a conversation, over REST."""

from __future__ import annotations

import asyncio

import pytest

from chat.models import Message, Turn
from models_registry.errors import ProviderCut, ProviderFailed
from models_registry.providers.base import Finished, TextDelta, Usage
from tests.asgi import Request, parse_events
from tests.chat.conftest import Gate
from tests.events import text_of

pytestmark = pytest.mark.django_db(transaction=True)

HI = {"content": "Hi"}
ONCE = {"messages": [{"role": "user", "content": "Hi"}], "model": "echo"}


@pytest.fixture
def path(conversation) -> str:
    return f"conversations/{conversation.id}/messages"


async def test_stop_answers_with_the_stopped_message(serving, token, path, script):
    gate = Gate()
    script(TextDelta("Half"), gate, TextDelta(" whole"), Finished("stop"))
    stream = Request("POST", f"{path}/stream", token=token, body=HI)
    seen = parse_events((await stream.chunk()).decode())
    while text_of(seen) != "Half":
        seen += parse_events((await stream.chunk()).decode())

    stop = Request("POST", f"messages/{seen[0]['message_id']}/stop", token=token)
    stopped = await stop.json()
    rest = await stream.events()
    again = Request("POST", f"messages/{seen[0]['message_id']}/stop", token=token)

    assert (stop.status, stopped["status"], stopped["content"]) == (200, "stopped", "Half")
    assert stopped["usage"]["prompt_tokens"] > 0
    assert stopped["usage"]["completion_tokens"] > 0
    assert rest[-1]["message"] == stopped
    assert script.closed_early == 1
    assert (await again.json()) == stopped
    assert again.status == 200


async def test_a_turn_whose_owner_does_not_obey_is_closed_by_who_asked(
    serving, token, path, script, settings, monkeypatch
):
    """The caller waits up to STOP_WAIT_SECONDS, then ends the turn itself."""
    settings.STOP_WAIT_SECONDS = 0.1
    monkeypatch.setattr("chat.services.stopping.runner.stop", lambda *_args: True)
    monkeypatch.setattr("chat.turns.runner.settings.CHECKPOINT_SECONDS", 60)
    gate = Gate()
    script(TextDelta("Half"), gate, Finished("stop"))
    stream = Request("POST", f"{path}/stream", token=token, body=HI)
    start = parse_events((await stream.chunk()).decode())[0]

    stop = Request("POST", f"messages/{start['message_id']}/stop", token=token)
    stopped = await stop.json()
    events = await stream.events()
    gate.open()

    assert (stop.status, stopped["status"]) == (200, "stopped")
    assert events[-1]["message"]["status"] == "stopped"
    assert (await Turn.objects.aget()).status == "stopped"


async def test_an_answer_is_given_again_beside_the_first(serving, token, path, script):
    script(TextDelta("one"), Finished("stop"))
    script(TextDelta("two"), Finished("stop"))
    script(TextDelta("three"), Finished("stop"))
    first = await Request("POST", path, token=token, body=HI).json()
    url = f"messages/{first['message']['id']}/regenerate"

    second = Request("POST", url, token=token)
    body = await second.json()
    streamed = Request("POST", url, token=token, headers={"Accept": "text/event-stream"})
    events = await streamed.events()

    assert second.status == 201
    assert body["user_message"]["id"] == first["user_message"]["id"]
    assert body["message"]["content"] == "two"
    assert body["message"]["siblings"] == [first["message"]["id"], body["message"]["id"]]
    assert text_of(events) == "three"
    assert len(events[-1]["message"]["siblings"]) == 3
    assert await Message.objects.filter(role="user").acount() == 1


async def test_only_an_answer_is_given_again(serving, token, path, script):
    script(TextDelta("one"), Finished("stop"))
    first = await Request("POST", path, token=token, body=HI).json()

    wrong = Request("POST", f"messages/{first['user_message']['id']}/regenerate", token=token)

    assert (await wrong.json())["code"] == "invalid"
    assert wrong.status == 400


async def test_a_stateless_turn_answers_and_leaves_nothing(serving, token, model, script):
    script(TextDelta("Hello"), Finished("stop", Usage(7, 3)))

    request = Request("POST", "chat", token=token, body=ONCE)

    assert await request.json() == {"content": "Hello", "tokens": 10, "model": "echo"}
    assert request.status == 200
    assert await Message.objects.acount() == 0


@pytest.mark.parametrize(
    ("body", "headers"),
    [(ONCE | {"stream": True}, {}), (ONCE, {"Accept": "text/event-stream"})],
)
async def test_a_stateless_turn_streams_if_asked(serving, token, model, script, body, headers):
    script(TextDelta("Hel"), TextDelta("lo"), Finished("stop"))

    request = Request("POST", "chat", token=token, body=body, headers=headers)
    events = await request.events()

    assert text_of(events) == "Hello"
    assert events[0]["conversation_id"] is None
    assert events[0]["message_id"] == events[-1]["message_id"]


async def test_a_stateless_turn_that_was_cut_is_no_answer(serving, token, model, script):
    script(TextDelta("Hel"), ProviderCut())

    request = Request("POST", "chat", token=token, body=ONCE)

    assert (await request.json())["code"] == "upstream_error"
    assert request.status == 502


async def test_a_key_gives_a_stateless_turn_its_answer_again(serving, token, model, script):
    """T2: the answer lives with the key."""
    script(TextDelta("Once"), Finished("stop"))
    headers = {"Idempotency-Key": "k"}

    first = await Request("POST", "chat", token=token, body=ONCE, headers=headers).json()
    second = await Request("POST", "chat", token=token, body=ONCE, headers=headers).json()

    assert first == second
    assert len(script.requests) == 1


async def test_a_stateless_turn_whose_reader_left_is_stopped(serving, token, model, script):
    gate = Gate()
    script(TextDelta("a"), gate, Finished("stop"))

    request = Request("POST", "chat", token=token, body=ONCE | {"stream": True})
    await request.chunk()
    await request.leave()

    async with asyncio.timeout(10):
        while await Turn.objects.filter(status="running").aexists():
            await asyncio.sleep(0.05)
    assert (await Turn.objects.aget()).status == "stopped"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [5]}, "messages"),
        ({"messages": [{"role": "root", "content": "a"}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"model": 5}, "model"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"stream": "yes"}, "stream"),
    ],
)
async def test_a_wrong_field_of_a_stateless_turn_is_named(serving, token, model, change, field):
    request = Request("POST", "chat", token=token, body=ONCE | change)
    problem = await request.json()

    assert request.status == 400
    assert next(iter(problem["errors"])).split(".")[0] == field
    assert await Turn.objects.acount() == 0


@pytest.mark.row("K10", "G3")
async def test_the_provider_s_words_about_a_failure_are_not_ours(serving, token, path, script):
    for _ in range(6):
        script(ProviderFailed("secret of theirs"))

    problem = await Request("POST", path, token=token, body=HI).json()

    assert problem["code"] == "upstream_error"
