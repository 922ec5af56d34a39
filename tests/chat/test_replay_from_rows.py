"""E7: a turn that has ended is read from its row alone, from any position."""

from __future__ import annotations

import orjson
import pytest
from django.conf import settings
from redis import Redis

from chat.models import Conversation, IdempotencyRecord, Message
from chat.services.conversations import delete_conversation
from chat.services.turn_requests import chat_once, send_message
from chat.streams.hub import hub
from models_registry.errors import ProviderRefused
from models_registry.providers.base import Finished, ReasoningDelta, TextDelta
from tests.chat.conftest import read
from tests.events import text_of
from tests.waiting import until

WORDS = ["one ", "two ", "three "]


def forget_the_logs():
    """As in a process that starts an hour later: neither memory nor Redis has the turn."""
    hub.own.clear()
    hub.followed.clear()
    if hub.mirror is not None:
        # Its last lines go out some moments after their readers here had them, and would make a
        # stream that was deleted before anew.
        unwritten = hub.mirror.writer._outgoing  # noqa: SLF001 nobody else need know
        until(lambda: not unwritten, "Redis has heard the end")
        # The other tests' streams are of no use to anybody either.
        with Redis.from_url(settings.REDIS_URL) as store:
            for key in store.scan_iter("parley:turn:*"):
                store.delete(key)


def answered(alice, conversation, script):
    script(ReasoningDelta("Hm."), *(TextDelta(word) for word in WORDS), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Count").ref
    return ref, read(ref)


@pytest.mark.parametrize("after", range(-1, 8))
def test_the_row_alone_gives_the_same_text_and_end_after_any_position(
    alice, conversation, script, after
):
    ref, whole = answered(alice, conversation, script)
    forget_the_logs()

    rest = read(ref, after=after)

    had = [event for event in whole if event["seq"] <= after and event["type"] == "chat_chunk"]
    assert text_of([*had, *rest]) == "".join(WORDS)
    assert rest[-1] == whole[-1]
    assert [event["type"] for event in rest].count("chat_complete") == 1
    assert [event["seq"] for event in rest] == sorted({event["seq"] for event in rest})


def test_from_the_start_the_row_gives_start_snapshot_and_end(alice, conversation, script):
    ref, whole = answered(alice, conversation, script)
    forget_the_logs()

    again = read(ref)

    assert [event["type"] for event in again] == ["chat_start", "snapshot", "chat_complete"]
    assert again[0] == whole[0]
    assert again[1]["reasoning"] == "Hm."
    assert again[1]["seq"] == whole[-2]["seq"]


def test_a_failed_turn_without_text_gives_start_and_error(alice, conversation, script):
    script(ProviderRefused())
    ref = send_message(alice, conversation.id, content="Hi").ref
    whole = read(ref)
    forget_the_logs()

    again = read(ref)

    assert [event["type"] for event in again] == ["chat_start", "chat_error"]
    assert again == whole


def test_the_end_stays_after_an_edit_and_shows_the_message_as_it_is(alice, conversation, script):
    ref, _whole = answered(alice, conversation, script)
    Message.objects.filter(pk=ref.message_id).update(content="Edited.")
    forget_the_logs()

    again = read(ref)

    assert again[-1]["message"]["content"] == "Edited."
    assert text_of(again) == "Edited."


def test_a_deleted_conversation_gives_not_found_as_an_event(alice, conversation, script):
    ref, _whole = answered(alice, conversation, script)
    delete_conversation(alice, conversation.id)
    forget_the_logs()

    found = read(ref)

    assert [(event["type"], event["code"]) for event in found] == [("chat_error", "not_found")]
    assert not Conversation.objects.exists()


def test_a_turn_whose_row_is_gone_gives_not_found_as_an_event(alice, conversation, script):
    ref, _whole = answered(alice, conversation, script)
    forget_the_logs()
    unknown = ref._replace(turn_id=conversation.id)

    found = read(unknown, after=3)

    assert [(event["type"], event["code"]) for event in found] == [("chat_error", "not_found")]


def test_a_stateless_turn_is_replayed_from_the_row_of_its_key(alice, model, script):
    script(*(TextDelta(word) for word in WORDS), Finished("stop"))
    messages = [{"role": "user", "content": "Count"}]
    ref = chat_once(alice, messages=messages, idempotency_key="k").ref
    whole = read(ref)
    forget_the_logs()

    again = read(ref)

    assert text_of(again) == "".join(WORDS)
    assert again[-1] == whole[-1]
    assert (
        orjson.loads(orjson.dumps(IdempotencyRecord.objects.get().answer)) == (whole[-1]["message"])
    )


def test_a_stateless_turn_without_a_key_leaves_its_end_but_nothing_that_was_said(
    alice, model, script
):
    script(*(TextDelta(word) for word in WORDS), Finished("stop"))
    messages = [{"role": "user", "content": "Count"}]
    ref = chat_once(alice, messages=messages).ref
    read(ref)
    forget_the_logs()

    again = read(ref)

    assert again[-1]["type"] == "chat_complete"
    assert text_of(again) == ""
