"""Turns without a conversation: counted, owed one reader, and nothing of them is stored."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from django.apps import apps

from chat.models import Conversation, IdempotencyRecord, Message, Turn
from chat.services.answers import answer_of
from chat.services.turn_requests import chat_once
from chat.streams.hub import hub
from chat.streams.reading import end_of, read_turn
from chat.turns.runner import runner
from models_registry.errors import ProviderRefused
from models_registry.providers.base import Finished, TextDelta, Usage
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, read, turn_row
from tests.events import text_of
from tests.waiting import until

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Canary-in"}]


def test_it_is_answered_counted_and_settled(alice, model, script):
    script(TextDelta("Hello"), Finished("stop", Usage(60, 20)))

    ref = chat_once(alice, messages=MESSAGES).ref
    events = read(ref)

    assert script.requests[0][1].messages == MESSAGES
    assert text_of(events) == "Hello"
    assert events[0]["conversation_id"] is None
    assert events[0]["message_id"] == str(ref.turn_id)
    message = events[-1]["message"]
    assert (message["id"], message["conversation_id"]) == (str(ref.turn_id), None)
    assert message["usage"]["total_tokens"] == 80
    assert UsageRecord.objects.get().purpose == "chat"
    assert Hold.objects.get().status == Hold.Status.SETTLED
    assert not Conversation.objects.exists()
    assert not Message.objects.exists()


@pytest.mark.parametrize("key", ["", "k"])
def test_nothing_that_was_said_is_stored_without_a_key(alice, model, script, key):
    """With one, the answer is kept in the row of the key, the question nowhere."""
    gate = Gate()
    script(TextDelta("Canary-out"), gate, Finished("stop"))
    ref = chat_once(alice, messages=MESSAGES, idempotency_key=key).ref
    hub.own[ref.turn_id].readers += 1
    until(lambda: turn_row(ref).characters == 10, "a checkpoint counted it")
    during = everything_stored()
    gate.open()
    until(lambda: ref.turn_id not in runner.turns, "it ended")

    assert "Canary" not in during
    assert "Canary-in" not in everything_stored()
    assert ("Canary-out" in everything_stored()) == bool(key)


def everything_stored():
    return repr(
        [
            list(model._default_manager.values())  # noqa: SLF001 documented
            for app in ("chat", "quotas")
            for model in apps.get_app_config(app).get_models()
        ]
    )


def test_a_turn_that_nobody_comes_to_read_is_stopped(alice, model, script, settings):
    """Owed one reader."""
    settings.UNREAD_TURN_SECONDS = 0.2
    settings.WATCH_SECONDS = 0.01
    script(TextDelta("Said to nobody"), Gate())

    ref = chat_once(alice, messages=MESSAGES).ref
    until(lambda: ref.turn_id not in runner.turns, "it was stopped")

    assert turn_row(ref).status == "stopped"
    assert script.closed_early == 1
    record = UsageRecord.objects.get()
    assert record.completion_tokens > 0
    assert record.estimated


def test_a_turn_is_given_its_time_for_the_reader_to_come(alice, model, script, settings):
    settings.UNREAD_TURN_SECONDS = 600
    settings.WATCH_SECONDS = 0.01
    gate = Gate()
    script(gate, TextDelta("Hello"), Finished("stop"))
    ref = chat_once(alice, messages=MESSAGES).ref
    until(lambda: runner.turns[ref.turn_id].unread_since, "the watch has looked")

    gate.open()

    assert read(ref)[-1]["message"]["content"] == "Hello"


def test_when_the_last_reader_leaves_it_is_stopped(alice, model, script, settings):
    """However soon it leaves: nobody need have seen it there."""
    settings.UNREAD_TURN_SECONDS = 600
    script(TextDelta("Said to one"), Gate())
    ref = chat_once(alice, messages=MESSAGES).ref

    async def look_and_leave():
        async with aclosing(read_turn(ref)) as batches:
            await anext(batches)

    asyncio.run(look_and_leave())

    until(lambda: ref.turn_id not in runner.turns, "it was stopped")
    assert turn_row(ref).status == "stopped"
    assert script.closed_early == 1


def test_while_one_of_two_readers_stays_it_goes_on(alice, model, script, settings):
    settings.WATCH_SECONDS = 0.01
    gate = Gate()
    script(TextDelta("Hel"), gate, TextDelta("lo"), Finished("stop"))
    ref = chat_once(alice, messages=MESSAGES).ref

    async def two():
        stays = asyncio.create_task(end_of(ref))
        async with aclosing(read_turn(ref)) as batches:
            await anext(batches)
        await asyncio.sleep(0.1)
        gate.open()
        return await stays

    assert b"Hello" in asyncio.run(two()).data


def test_with_a_key_it_runs_to_its_end_without_a_reader_and_is_replayed(
    alice, model, script, settings
):
    settings.UNREAD_TURN_SECONDS = 0.05
    settings.WATCH_SECONDS = 0.01
    gate = Gate()
    script(TextDelta("Hel"), gate, TextDelta("lo"), Finished("stop"))
    first = chat_once(alice, messages=MESSAGES, idempotency_key="k")
    until(lambda: gate.reached, "the model is in the middle")
    seen = runner.turns[first.ref.turn_id]
    asyncio.run(asyncio.sleep(0.2))
    gate.open()
    until(lambda: turn_row(first.ref).status == "complete", "it ended by itself")
    hub.own.clear()

    again = chat_once(alice, messages=MESSAGES, idempotency_key="k")

    assert again.joined
    assert text_of(read(again.ref)) == "Hello"
    assert not seen.cut
    assert Turn.objects.count() == len(script.requests) == 1
    assert text_of_kept() == "Hello"


def text_of_kept():
    answer = IdempotencyRecord.objects.get().answer
    return answer and answer["content"]


def test_the_whole_answer_of_a_turn_for_who_does_not_stream(alice, conversation, script):
    script(TextDelta("Hello"), Finished("stop"))
    stateless = asyncio.run(answer_of(chat_once(alice, messages=MESSAGES).ref))
    script(ProviderRefused())
    failed = asyncio.run(answer_of(chat_once(alice, messages=MESSAGES).ref))

    assert stateless.user_message is None
    assert stateless.message is not None
    assert stateless.message["content"] == "Hello"
    assert (failed.message, failed.code) == (None, "upstream_error")
    assert failed.detail
