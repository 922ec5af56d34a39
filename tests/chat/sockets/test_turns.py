"""Turns over the socket: begun, followed, stopped, resumed; here and elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from accounts.services.callers import Caller
from chat.models import Conversation, Message, Turn
from chat.services.conversations import delete_conversation
from chat.services.turn_requests import send_message
from chat.streams.nudges import user_group
from common.db import in_thread
from common.lookout import look_once
from common.nudges import join, leave, nudge
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Socket
from tests.chat.conftest import Gate
from tests.events import text_of

pytestmark = pytest.mark.django_db(transaction=True)

ENDS = ("chat_complete", "chat_error")


def say(conversation: Conversation, content: str = "Hi", **more: object) -> dict[str, object]:
    return {"type": "chat", "conversation_id": str(conversation.id), "content": content, **more}


async def test_a_chat_frame_is_answered_event_by_event(serving, token, conversation, script):
    script(TextDelta("Hel"), TextDelta("lo"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send(say(conversation, ref="mine"))
        events = await socket.until(*ENDS)

    assert [(event["type"], event["seq"]) for event in events] == [
        ("chat_start", 0),
        ("chat_chunk", 1),
        ("chat_chunk", 2),
        ("chat_complete", 3),
    ]
    assert [event.get("ref") for event in events] == ["mine", None, None, None]
    assert events[0]["user_message"]["content"] == "Hi"
    assert events[-1]["message"]["content"] == "Hello"
    assert await Message.objects.acount() == 2


async def test_a_chat_without_a_conversation_makes_one(serving, token, alice, model, script):
    script(TextDelta("Hello"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send({"type": "chat", "content": "Hi", "model": "echo"})
        events = await socket.until(*ENDS)

    made = await Conversation.objects.aget()
    assert events[0]["conversation_id"] == str(made.id)
    assert made.owner_id == alice.user.pk


@pytest.mark.row("A2")
async def test_a_refused_chat_is_an_error_with_its_ref_and_nothing_is_kept(
    serving, token, stranger, conversation
):
    """Another's conversation, another's parent, a model that is not there."""
    async with Socket(token=stranger) as socket:
        told = await socket.ask(say(conversation, ref="a"))
        assert (told["code"], told["ref"]) == ("not_found", "a")

    async with Socket(token=token) as socket:
        told = await socket.ask(say(conversation, parent_id=str(uuid4())))
        assert told["code"] == "not_found"
        told = await socket.ask(say(conversation, model="no-such-model"))
        assert told["code"] == "not_found"
        told = await socket.ask({"type": "chat", "content": "Hi", "parent_id": str(uuid4())})
        assert told["code"] == "invalid"

    assert await Turn.objects.acount() == 0
    assert await Message.objects.acount() == 0


async def test_a_second_chat_in_one_conversation_is_a_conflict(
    serving, token, conversation, script
):
    """T4."""
    gate = Gate()
    script(gate, TextDelta("Hi"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send(say(conversation))
        await socket.until("chat_start")
        told = await socket.ask(say(conversation, ref="second"))
        assert (told["code"], told["ref"]) == ("conflict", "second")

        gate.open()
        assert (await socket.until(*ENDS))[-1]["type"] == "chat_complete"


async def test_the_same_key_again_replays_the_same_turn(serving, token, conversation, script):
    """T1, T2: one turn, both answers whole."""
    script(TextDelta("Once"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send(say(conversation, idempotency_key="k", ref="a"))
        first = await socket.until(*ENDS)
        socket.send(say(conversation, idempotency_key="k", ref="b"))
        second = await socket.until(*ENDS)
        told = await socket.ask(say(conversation, "Other", idempotency_key="k"))

    assert second[0]["ref"] == "b"
    assert text_of(first) == text_of(second) == "Once"
    assert first[0]["message_id"] == second[0]["message_id"]
    assert told["code"] == "idempotency_conflict"
    assert await Turn.objects.acount() == 1


async def test_stop_ends_the_turn_and_keeps_its_text(serving, token, conversation, script):
    gate = Gate()
    script(TextDelta("Half"), gate, TextDelta(" whole"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send(say(conversation))
        start, _chunk = await socket.receive(), await socket.receive()
        socket.send({"type": "stop", "message_id": start["message_id"], "ref": "s"})
        frames = {
            frame["type"]: frame for frame in [await socket.receive(), await socket.receive()]
        }

    assert frames["stopped"]["ref"] == "s"
    assert frames["stopped"]["message_id"] == start["message_id"]
    assert frames["chat_complete"]["message"]["status"] == "stopped"
    assert frames["chat_complete"]["message"]["content"] == "Half"


async def test_stop_of_what_has_ended_is_stopped_too(serving, token, conversation, script):
    script(TextDelta("Done"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send(say(conversation))
        end = (await socket.until(*ENDS))[-1]
        told = await socket.ask({"type": "stop", "message_id": end["message_id"], "ref": "s"})

    assert (told["type"], told["ref"]) == ("stopped", "s")


@pytest.mark.row("E7")
@pytest.mark.parametrize("after", [-1, 0, 1, 2, 3, 4, 10**12])
async def test_resume_sends_what_is_missing(serving, token, conversation, script, after):
    """E7: after the end comes the end again."""
    script(TextDelta("Hel"), TextDelta("lo"), Finished("stop"))

    async with Socket(token=token) as first:
        first.send(say(conversation))
        whole = await first.until(*ENDS)
    async with Socket(token=token) as second:
        message_id = whole[0]["message_id"]
        second.send({"type": "resume", "message_id": message_id, "after": after, "ref": "r"})
        rest = await second.until(*ENDS)
        await second.quiet()

    missing = [event for event in whole if event["seq"] > after] or whole[-1:]
    assert rest[0].pop("ref") == "r"
    assert rest == missing


@pytest.mark.row("A6")
async def test_another_persons_turn_does_not_exist_and_goes_on(
    serving, token, stranger, conversation, script
):
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))

    async with Socket(token=token) as mine, Socket(token=stranger) as theirs:
        mine.send(say(conversation))
        start = await mine.receive()
        for frame in (
            {"type": "resume", "message_id": start["message_id"], "after": 0},
            {"type": "stop", "message_id": start["message_id"]},
            {"type": "typing", "conversation_id": str(conversation.id)},
        ):
            assert (await theirs.ask(frame))["code"] == "not_found"
        gate.open()
        end = (await mine.until(*ENDS))[-1]
        await theirs.quiet()

    assert end["message"]["content"] == "ab"


async def test_every_socket_of_a_person_hears_of_a_turn_begun_elsewhere_once(
    serving, alice, token, conversation, script
):
    """Nudged, and looked at, and looked at again: the start and the end, once each."""
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))

    async with Socket(token=token) as first, Socket(token=token) as second:
        await first.quiet()
        await second.quiet()
        started = await in_thread(send_message)(alice, conversation.id, content="Hi")
        heard = [await first.receive(), await second.receive()]
        await look_once()
        gate.open()
        ended = [await first.receive(), await second.receive()]
        await look_once()
        await first.quiet()
        await second.quiet()

    assert [frame["type"] for frame in heard] == ["chat_start"] * 2
    assert [frame["type"] for frame in ended] == ["chat_complete"] * 2
    assert {frame["message_id"] for frame in heard + ended} == {str(started.ref.message_id)}


async def test_the_socket_that_began_a_turn_hears_each_event_once(
    serving, token, conversation, script
):
    script(TextDelta("a"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send(say(conversation, ref="mine"))
        events = await socket.until(*ENDS)
        await look_once()
        await socket.quiet()

    assert [event["type"] for event in events] == ["chat_start", "chat_chunk", "chat_complete"]
    assert events[0]["ref"] == "mine"


@pytest.mark.row("W11")
async def test_without_any_nudge_a_look_brings_what_began_and_ended(
    serving, alice, token, conversation, script, monkeypatch
):
    monkeypatch.setattr("chat.streams.nudges.nudge", _lost)
    script(TextDelta("a"), Finished("stop"))

    async with Socket(token=token) as socket:
        await socket.quiet()
        await in_thread(send_message)(alice, conversation.id, content="Hi")
        await look_once()
        events = await socket.until(*ENDS)

    assert [event["type"] for event in events] == ["chat_start", "chat_complete"]


async def _lost(*_args: object) -> None:
    """What a full channel layer does with a nudge."""


async def test_turns_from_before_the_socket_are_not_announced(
    serving, alice, token, conversation, script
):
    script(TextDelta("a"), Finished("stop"))
    started = await in_thread(send_message)(alice, conversation.id, content="Hi")
    while await Turn.objects.filter(pk=started.ref.turn_id, status="running").aexists():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.002)  # the ids of turns count milliseconds

    async with Socket(token=token) as socket:
        await look_once()
        await socket.quiet()


async def test_resume_on_a_socket_that_hears_the_ends_only_gives_it_the_whole(
    serving, alice, token, conversation, script
):
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))

    async with Socket(token=token) as socket:
        await socket.quiet()
        await in_thread(send_message)(alice, conversation.id, content="Hi")
        start = await socket.receive()
        socket.send({"type": "resume", "message_id": start["message_id"], "after": 0})
        chunk = await socket.receive()
        gate.open()
        rest = await socket.until(*ENDS)
        await socket.quiet()

    assert [chunk["content"], *(event.get("content") for event in rest)] == ["a", "b", None]


class Probe:
    """Hears whether a group is being listened to."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def nudged(self, message: dict[str, Any]) -> None:
        self.heard.set()


async def heard_by_sockets_of(caller: Caller) -> None:
    """Sockets join their group behind the handshake, which never waits for Redis."""
    group, probe = user_group(caller.user.pk), Probe()
    join(group, probe)
    async with asyncio.timeout(10):
        while not probe.heard.is_set():
            await nudge(group, {"type": "probe"})
            await asyncio.sleep(0.02)
    leave(group, probe)


@pytest.mark.row("W14")
async def test_others_hear_typing_once_in_two_seconds_and_the_typist_does_not(
    serving, token, stranger, alice, conversation
):
    """W14: a flood is one, for those who may read, and nothing of it is stored."""
    before = await Conversation.objects.values().aget()
    async with (
        Socket(token=token) as typist,
        Socket(token=token) as other,
        Socket(token=stranger) as third,
    ):
        await typist.quiet()
        await other.quiet()
        await third.quiet()
        await heard_by_sockets_of(alice)
        for _ in range(10):
            typist.send({"type": "typing", "conversation_id": str(conversation.id)})
        heard = await other.receive()
        await typist.quiet()
        await other.quiet()
        await third.quiet()

    assert await Conversation.objects.values().aget() == before
    assert not await Message.objects.aexists()
    assert heard == {
        "type": "user_typing",
        "conversation_id": str(conversation.id),
        "user_id": str(alice.user.pk),
    }


@pytest.mark.row("W10")
async def test_stop_and_ping_are_answered_during_a_long_replay(
    serving, token, conversation, script
):
    """W10: 5,000 events, and a peer that takes them one at a time."""
    script(*(TextDelta(f"{n} ") for n in range(5_000)), Finished("stop"))
    async with Socket(token=token) as first:
        first.send(say(conversation))
        whole = await first.until(*ENDS)
        message_id = whole[0]["message_id"]

    async with Socket(token=token) as socket:
        socket.send({"type": "resume", "message_id": message_id, "after": -1})
        await socket.receive()
        socket.send({"type": "ping", "ref": "p"})
        socket.send({"type": "stop", "message_id": message_id, "ref": "s"})
        seen: list[str] = []
        while not {"pong", "stopped"} <= set(seen):
            seen.append((await socket.receive())["type"])

    # It overtook what had not been queued yet.
    assert "chat_complete" not in seen[: seen.index("pong")]


@pytest.mark.row("A8")
async def test_deleting_the_conversation_ends_the_turn_for_its_readers(
    serving, token, alice, conversation, script
):
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))

    async with Socket(token=token) as socket:
        socket.send(say(conversation))
        await socket.until("chat_chunk")
        await sync_to_async(delete_conversation)(alice, conversation.id)
        end = (await socket.until(*ENDS))[-1]

    assert (end["type"], end["code"]) == ("chat_error", "not_found")
    gate.open()
