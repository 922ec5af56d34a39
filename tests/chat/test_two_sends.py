"""T4: one running turn per conversation; the loser leaves nothing behind."""

from __future__ import annotations

from functools import partial

import pytest

from chat.models import Conversation, Message, Turn
from chat.services.turn_requests import TurnStarted, regenerate, send_message
from common.errors import Conflict
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold
from tests.chat.conftest import Gate, read
from tests.chat.threads import all_at_once


def rows(conversation):
    """Everything that a refused send could have touched."""
    return (
        Conversation.objects.values().get(pk=conversation.id),
        list(Message.objects.order_by("position").values()),
        list(Turn.objects.values("id", "status", "message_id")),
        list(Hold.objects.values()),
    )


@pytest.mark.row("T4")
def test_a_send_while_a_turn_runs_is_a_conflict_and_writes_nothing(alice, conversation, script):
    gate = Gate()
    script(gate, TextDelta("Hello"), Finished("stop"))
    first = send_message(alice, conversation.id, content="First")
    before = rows(conversation)

    with pytest.raises(Conflict):
        send_message(alice, conversation.id, content="Second")
    with pytest.raises(Conflict):
        regenerate(alice, first.ref.message_id)

    assert rows(conversation) == before
    gate.open()
    assert read(first.ref)[-1]["message"]["content"] == "Hello"


@pytest.mark.row("T4")
def test_of_ten_sends_at_once_one_runs_and_the_others_are_conflicts(alice, conversation, script):
    gate = Gate()
    script(gate, TextDelta("Hello"), Finished("stop"))

    outcomes = all_at_once(
        [partial(send_message, alice, conversation.id, content=f"Tab {n}") for n in range(10)]
    )
    gate.open()

    started = [each for each in outcomes if isinstance(each, TurnStarted)]
    assert len(started) == 1
    assert [type(each) for each in outcomes].count(Conflict) == 9
    read(started[0].ref)
    assert len(script.requests) == 1
    assert Message.objects.count() == 2
    assert Turn.objects.count() == Hold.objects.count() == 1
    conversation.refresh_from_db()
    assert (conversation.message_count, conversation.last_position) == (2, 3)
    assert list(Message.objects.order_by("position").values_list("position", flat=True)) == [1, 2]


def test_turns_of_two_conversations_run_side_by_side(alice, conversation, script):
    gate = Gate()
    other = Conversation.objects.create(owner=alice.user, model="echo")
    script(gate, TextDelta("A"), Finished("stop"))
    first = send_message(alice, conversation.id, content="Hi")
    script(TextDelta("B"), Finished("stop"))

    second = send_message(alice, other.id, content="Hi")

    assert read(second.ref)[-1]["message"]["status"] == "complete"
    gate.open()
    assert read(first.ref)[-1]["message"]["status"] == "complete"


def test_the_next_send_begins_as_soon_as_the_end_was_read(alice, conversation, script):
    """The end event follows the commit: whoever has seen it may send."""
    for number in range(10):
        script(TextDelta(str(number)), Finished("stop"))
        started = send_message(alice, conversation.id, content="Next")
        read(started.ref)

    conversation.refresh_from_db()
    assert conversation.message_count == 20
    positions = [
        place
        for message in Message.objects.all()
        for place in (message.position, message.ended_position)
        if place is not None
    ]
    assert sorted(positions) == list(range(1, 31))
