"""T5: finish, stop, closing, deletion and shutdown at once: one end, one settlement, one event."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from chat.models import Conversation, Message, Turn
from chat.services.conversations import delete_conversation
from chat.services.messages import delete_message
from chat.services.stopping import close_stopped, request_stop
from chat.services.turn_requests import send_message
from chat.streams.hub import hub
from chat.turns.runner import runner
from common.errors import NotFound
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, read
from tests.chat.threads import all_at_once
from tests.waiting import until

ROUNDS = 40
ENDS = {"complete", "stopped", "interrupted"}


def settled(ref):
    """The turn has one end, one settlement, and nobody runs it any more."""
    until(lambda: ref.turn_id not in runner.turns, "the owner let go")
    turn = Turn.objects.get(pk=ref.turn_id)
    assert turn.status in ENDS
    assert Hold.objects.get(turn_id=ref.turn_id).status == Hold.Status.SETTLED
    record = UsageRecord.objects.get(turn_id=ref.turn_id)
    assert record.outcome == turn.status
    return turn


def everything_at_once(alice, ref, gate, *more):
    return all_at_once(
        [
            gate.open,
            partial(request_stop, alice, ref.message_id),
            partial(close_stopped, ref.turn_id),
            partial(runner.stop, ref.turn_id, Turn.StopReason.SHUTDOWN),
            *more,
        ]
    )


@pytest.mark.row("T5")
def test_all_ends_at_once_are_one_end(alice, model, script):
    # In one test: on PostgreSQL emptying the tables takes longer than a round.
    for _ in range(ROUNDS):
        conversation = Conversation.objects.create(owner=alice.user, model=model.name)
        all_ends_at_once(alice, conversation, script)


def all_ends_at_once(alice, conversation, script):
    gate = Gate()
    script(TextDelta("Some "), gate, TextDelta("text"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")

    with ThreadPoolExecutor(3) as readers:
        reading = [readers.submit(read, ref) for _ in range(3)]
        everything_at_once(alice, ref, gate)
        found = [each.result(30) for each in reading]

    turn = settled(ref)
    for events in found:
        ends = [each for each in events if each["type"] in {"chat_complete", "chat_error"}]
        assert len(ends) == 1
        assert events[-1] == ends[0]
        assert ends[0]["message"]["status"] == turn.status
        numbers = [each["seq"] for each in events]
        assert numbers == sorted(set(numbers))
    message = Message.objects.get(pk=ref.message_id)
    assert message.status == turn.status
    assert message.content in {"Some ", "Some text"}
    conversation.refresh_from_db()
    assert (conversation.last_position, message.ended_position) == (3, 3)
    usage = message.usage()
    assert usage is not None
    assert conversation.tokens == usage["total_tokens"]
    end = hub.own[ref.turn_id].end_event()
    assert end is not None
    assert end.is_end


@pytest.mark.row("A8", "T5")
def test_a_deletion_among_them_leaves_no_reader_and_no_row(alice, model, script):
    """Gone, hold settled, readers told."""
    for number in range(ROUNDS):
        conversation = Conversation.objects.create(owner=alice.user, model=model.name)
        a_deletion_among_all(alice, conversation, script, whole=bool(number % 2))


def a_deletion_among_all(alice, conversation, script, *, whole):
    gate = Gate()
    script(TextDelta("Some "), gate, TextDelta("text"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")
    delete = (
        partial(delete_conversation, alice, conversation.id)
        if whole
        else partial(delete_message, alice, ref.message_id)
    )

    with ThreadPoolExecutor(3) as readers:
        reading = [readers.submit(read, ref) for _ in range(3)]
        outcomes = everything_at_once(alice, ref, gate, delete)
        found = [each.result(30) for each in reading]

    assert outcomes[-1] is None
    assert all(
        each is None or not isinstance(each, Exception) or isinstance(each, NotFound)
        for each in outcomes
    )
    settled(ref)
    assert all(events[-1]["type"] in {"chat_complete", "chat_error"} for events in found)
    assert not Message.objects.filter(pk=ref.message_id).exists()
    if whole:
        assert not Conversation.objects.filter(pk=conversation.id).exists()
    else:
        conversation.refresh_from_db()
        assert conversation.message_count == conversation.messages.count() == 1


@pytest.mark.row("T5")
def test_the_owner_that_comes_second_gives_its_readers_the_first_end(alice, conversation, script):
    """Somebody else ended the row while the owner was still writing."""
    gate = Gate()
    script(TextDelta("Some "), gate, TextDelta("text"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")
    Turn.objects.filter(pk=ref.turn_id).update(status="interrupted", last_seq=1)
    Message.objects.filter(pk=ref.message_id).update(status="interrupted", content="Some ")
    gate.open()

    events = read(ref)

    assert events[-1]["message"]["status"] == "interrupted"
    assert events[-1]["message"]["content"] == "Some "
    assert [each["seq"] for each in events] == list(range(len(events)))


def test_a_slow_reader_of_a_deleted_turn_gets_its_end_and_nothing_after_it(
    alice, conversation, script
):
    """The owner writes on until its next checkpoint; what it writes then is for nobody."""
    gate = Gate()
    script(TextDelta("Some "), gate, *(TextDelta("text") for _ in range(50)), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")
    delete_conversation(alice, conversation.id)
    until(lambda: hub.own[ref.turn_id].ended, "the readers were told")
    gate.open()
    until(lambda: ref.turn_id not in runner.turns, "the owner let go")

    events = read(ref, after=0)

    assert [each["type"] for each in events] == ["chat_chunk", "chat_error"]
    assert events[-1]["code"] == "not_found"


@pytest.mark.row("F3")
def test_a_task_cancelled_by_a_stranger_is_not_a_complete_answer(alice, conversation, script):
    """F3: a cancel that nobody asked for is a failure."""
    script(TextDelta("Half"), asyncio.CancelledError())

    events = read(send_message(alice, conversation.id, content="Hi").ref)

    assert (events[-1]["type"], events[-1]["code"]) == ("chat_error", "internal")
