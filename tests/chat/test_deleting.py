"""Deleting messages, conversations and people, also under a running turn (A8)."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.signals import user_erasing
from chat.models import Conversation, IdempotencyRecord, Message, Turn
from chat.services.conversations import delete_conversation, delete_conversations_of
from chat.services.messages import delete_message
from chat.services.turn_requests import chat_once, send_message
from chat.streams.hub import hub
from chat.turns.runner import runner
from common.db import write_transaction
from common.errors import NotFound
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, read
from tests.chat.rows import chain
from tests.chat.threads import all_at_once
from tests.waiting import until


@pytest.fixture
def running(alice, conversation, script):
    """A turn that has said something and waits for the test."""
    gate = Gate()
    script(TextDelta("Twenty tokens of text, say."), gate, TextDelta("more"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")
    yield ref
    gate.open()


def settled_as_stopped(ref):
    turn = Turn.objects.get(pk=ref.turn_id)
    assert (turn.status, turn.conversation_id, turn.message_id) == ("stopped", None, None)
    assert (turn.text, turn.reasoning) == ("", "")
    assert Hold.objects.get().status == Hold.Status.SETTLED
    record = UsageRecord.objects.get()
    assert (record.outcome, record.estimated) == ("stopped", True)
    assert record.prompt_tokens > 0


@pytest.mark.row("A8")
def test_a_conversation_goes_with_its_messages_and_its_turn(
    alice, conversation, script, running, caplog
):
    delete_conversation(alice, conversation.id)

    end = read(running)[-1]
    assert (end["code"], end["detail"]) == ("not_found", "The message was deleted.")
    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    settled_as_stopped(running)
    until(lambda: running.turn_id not in runner.turns, "the owner let go")
    assert script.closed_early == 1
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


def test_the_reader_of_a_message_that_is_deleted_is_told_that_it_was_the_message(
    alice, conversation, running
):
    delete_message(alice, running.message_id)

    end = read(running)[-1]
    assert (end["code"], end["detail"]) == ("not_found", "The message was deleted.")
    assert Conversation.objects.exists()


@pytest.mark.row("A8")
def test_nothing_is_written_back_by_the_owner(alice, conversation, running):
    delete_conversation(alice, conversation.id)
    until(lambda: running.turn_id not in runner.turns, "the owner let go")

    assert not Message.objects.exists()
    assert not Conversation.objects.exists()
    assert UsageRecord.objects.count() == 1
    settled_as_stopped(running)


@pytest.mark.row("A8")
def test_a_deleted_answer_ends_its_turn_and_the_conversation_goes_on(
    alice, conversation, script, running
):
    delete_message(alice, running.message_id)

    assert read(running)[-1]["code"] == "not_found"
    settled_as_stopped(running)
    conversation.refresh_from_db()
    assert conversation.message_count == 1
    script(TextDelta("Again"), Finished("stop"))
    again = send_message(alice, conversation.id, content="Once more").ref
    assert read(again)[-1]["message"]["content"] == "Again"


def test_a_deleted_question_takes_its_answer_and_all_that_followed(alice, conversation, model):
    made = chain(conversation, 6)
    others = [
        Message.objects.create(
            conversation=conversation, role="user", content="else", parent=parent, position=place
        )
        for parent, place in ((made[1], 90), (None, 91))
    ]

    delete_message(alice, made[2].id)

    left = set(Message.objects.values_list("id", flat=True))
    assert left == {made[0].id, made[1].id, *(each.id for each in others)}
    conversation.refresh_from_db()
    assert conversation.message_count == 4


@pytest.mark.parametrize("whole", [True, False], ids=["a conversation", "a message"])
def test_deleting_reads_no_text(alice, conversation, whole):
    """A conversation of a hundred megabytes is deleted without being loaded."""
    root = chain(conversation, 4)[0]

    with CaptureQueriesContext(connection) as asked:
        if whole:
            delete_conversation(alice, conversation.id)
        else:
            delete_message(alice, root.id)

    assert not Message.objects.exists()
    read = [each["sql"] for each in asked if each["sql"].startswith("SELECT")]
    loaded = [sql for sql in read if '"chat_message"."content"' in sql]
    assert len(loaded) == (0 if whole else 1)  # the one that is asked for


def test_a_message_of_nobody_or_somebody_else_is_not_found(alice, charlie, conversation):
    message = chain(conversation, 1)[0]

    for caller, message_id in ((charlie, message.id), (alice, uuid4())):
        with pytest.raises(NotFound):
            delete_message(caller, message_id)
    for caller, conversation_id in ((charlie, conversation.id), (alice, uuid4())):
        with pytest.raises(NotFound):
            delete_conversation(caller, conversation_id)

    assert Message.objects.count() == 1


def test_tokens_and_cost_of_what_was_deleted_stay_counted(alice, conversation, script):
    """The ledger keeps numbers; so does the conversation's sum."""
    script(TextDelta("Hello"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    read(ref)
    before = Conversation.objects.get()

    delete_message(alice, ref.message_id)

    conversation.refresh_from_db()
    assert (conversation.tokens, conversation.cost) == (before.tokens, before.cost)
    assert conversation.tokens > 0


@pytest.mark.row("G4", "A8")
def test_erasing_a_person_ends_their_turns_and_forgets_what_they_said(
    alice, conversation, script, running
):
    alone = Gate()
    script(TextDelta("Stateless"), alone)
    stateless = chat_once(
        alice, messages=[{"role": "user", "content": "Hi"}], idempotency_key="k"
    ).ref

    with write_transaction():
        user_erasing.send(sender=type(alice.user), user=alice.user)

    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    assert set(Turn.objects.values_list("status", flat=True)) == {"stopped"}
    assert set(Hold.objects.values_list("status", flat=True)) == {"settled"}
    assert read(running)[-1]["code"] == "not_found"
    assert read(stateless)[-1]["type"] in {"chat_error", "chat_complete"}
    alone.open()
    until(lambda: not runner.turns, "the owner let go of both")


@pytest.mark.row("A8")
def test_a_person_is_erased_while_all_their_turns_end(alice, model, script):
    """Lock order conversation, then turn: nobody waits for the other."""
    for _ in range(5):
        gates, conversations = [], []
        for number in range(4):
            gate = Gate()
            script(TextDelta("Some text"), gate, Finished("stop"))
            made = Conversation.objects.create(owner=alice.user, model=model.name)
            send_message(alice, made.id, content=f"Hi {number}")
            until(partial(getattr, gate, "reached"), "the model is in the middle")
            gates.append(gate)
            conversations.append(made)

        def erase():
            with write_transaction():
                user_erasing.send(sender=type(alice.user), user=alice.user)

        outcomes = all_at_once(
            [
                erase,
                *(gate.open for gate in gates),
                partial(_delete_quietly, alice, conversations[0].id),
            ]
        )

        assert [each for each in outcomes if isinstance(each, Exception)] == []
        until(lambda: not runner.turns, "all turns ended")
        assert not Conversation.objects.exists()
        assert not Turn.objects.running().exists()
        assert not Hold.objects.filter(status=Hold.Status.OPEN).exists()
    assert Turn.objects.count() == UsageRecord.objects.count() == 20


def test_a_person_of_many_conversations_takes_as_many_statements_as_one_of_one(alice, model):
    """Each would else be six statements, and every writer waits meanwhile (F7)."""

    def statements(conversations: int) -> int:
        for _ in range(conversations):
            chain(Conversation.objects.create(owner=alice.user, model=model.name), 2)
        with CaptureQueriesContext(connection) as context, write_transaction():
            delete_conversations_of(alice.user)
        assert not Conversation.objects.exists()
        assert not Message.objects.exists()
        return len(context.captured_queries)

    assert statements(40) == statements(1) < 20


def test_very_many_go_batch_by_batch(alice, model, settings):
    settings.PURGE_ROWS_AT_ONCE = 10
    for _ in range(25):
        chain(Conversation.objects.create(owner=alice.user, model=model.name), 2)

    with CaptureQueriesContext(connection) as context, write_transaction():
        delete_conversations_of(alice.user)

    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    erased = [q["sql"] for q in context if q["sql"].startswith('DELETE FROM "chat_message"')]
    assert len(erased) == 3


def _delete_quietly(caller, conversation_id):
    with suppress(NotFound):
        delete_conversation(caller, conversation_id)


def test_deleting_twice_at_once_is_gone_once_and_never_an_error(alice, conversation, running):
    outcomes = all_at_once([partial(delete_conversation, alice, conversation.id)] * 4)

    assert [type(each) for each in outcomes].count(NotFound) == 3
    assert outcomes.count(None) == 1
    settled_as_stopped(running)


@pytest.mark.row("T6")
def test_a_rolled_back_deletion_tells_nobody(alice, conversation, running):
    """T6: what is announced starts on commit."""

    def delete_and_fail():
        with write_transaction():
            delete_conversation(alice, conversation.id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        delete_and_fail()

    assert not hub.own[running.turn_id].ended
    assert Turn.objects.get().status == "running"
    assert Message.objects.count() == 2
