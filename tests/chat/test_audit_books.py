"""`manage.py audit_books`: every contradiction between rows is found and named."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from chat.models import Conversation, IdempotencyRecord, Message, SearchPiece, Summary, Turn
from chat.services import search
from chat.services.conversations import delete_conversation
from chat.services.messages import delete_message
from chat.services.turn_requests import chat_once, regenerate, send_message
from chat.turns.runner import runner
from common.db import snapshot, write_transaction
from models_registry.providers.base import Finished, TextDelta, Usage
from quotas.models import Hold, SubjectLimit, UsageRecord, Window
from tests.accounts.conftest import run
from tests.chat.conftest import read
from tests.chat.rows import chain
from tests.chat.threads import all_at_once

__all__ = ["run"]

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = (TextDelta("Hel"), TextDelta("lo"), Finished("stop", Usage(70, 20)))


@pytest.fixture
def books(alice, conversation, script, request):
    """An answer, an answer of a key without a conversation, a summary, and a turn that runs."""
    SubjectLimit.objects.create(
        kind="user", subject_id=str(alice.user.pk), metric="tokens", period="day", amount=10**6
    )
    script(*HELLO)
    script(*HELLO)
    read(send_message(alice, conversation.id, content="Hi").ref)
    asked = [{"role": "user", "content": "Hi"}]
    read(chat_once(alice, messages=asked, idempotency_key="once").ref)
    search.index_due(limit=10)
    summed = Message.objects.get(role="user")
    Summary.objects.create(conversation=conversation, message=summed, text="They said hi.")
    request.getfixturevalue("not_launched")
    other = Conversation.objects.create(owner=alice.user, model="echo")
    chain(other, 2)
    send_message(alice, other.id, content="And?")


@contextmanager
def nothing_checked():
    """What the database itself would refuse."""
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        yield
        if connection.vendor == "postgresql":
            cursor.execute("RESET session_replication_role")


def found(run):
    code, out, _err = run("audit_books", "--format", "json")
    told = json.loads(out)
    assert (code, told["agree"]) == ((1, False) if told["differences"] else (0, True))
    return told["differences"]


def answers():
    return Message.objects.filter(turn__status="complete")


def running():
    return Turn.objects.running()


def ended():
    return Turn.objects.exclude(status="running")


def long_ago():
    return timezone.now() - timedelta(days=1)


def record_of_a_running_turn():
    UsageRecord.objects.filter(turn_id__in=answers().values("turn")).update(
        turn_id=running().get().pk
    )


def lose_a_hold():
    Hold.objects.filter(status="open").delete()
    Window.objects.update(held=0)


def double_a_position():
    answer = answers().get()
    answer.conversation.messages.filter(role="user").update(position=3)


def double_an_end():
    answer = answers().get()
    asked = answer.conversation.messages.filter(role="user")
    asked.update(ended_position=answer.ended_position)


def a_parent_elsewhere():
    elsewhere = Message.objects.get(content="word 0")
    answers().update(parent=elsewhere)


def a_summary_elsewhere():
    Summary.objects.update(message=Message.objects.get(content="word 0"))


def a_turn_elsewhere():
    running().update(message=Message.objects.get(content="Hi"))


def a_key_without_turn():
    with nothing_checked():
        IdempotencyRecord.objects.update(turn_id=uuid4())


def a_piece_of_nothing():
    SearchPiece.objects.filter(message__isnull=False).update(message_id=uuid4())


FORGED = {
    "turn_running_too_long": lambda: running().update(created_at=long_ago()),
    "turn_end": lambda: running().update(ended_at=timezone.now()),
    "turn_end, which is missing": lambda: ended().update(ended_at=None),
    "turn_text": lambda: ended().update(text="Hello"),
    "turn_place": lambda: ended().filter(purpose="message").update(conversation=None),
    "turn_place, beside its message": a_turn_elsewhere,
    "turn_place, ahead": lambda: running().update(epoch=9),
    "message_status": lambda: answers().update(status="stopped"),
    "message_status, of an error": lambda: answers().update(error_code="unavailable"),
    "message_status, too early": lambda: Message.objects.filter(status="streaming").update(
        status="complete"
    ),
    "message_unwritten": lambda: Message.objects.filter(role="user").update(status="pending"),
    "message_end_position": lambda: answers().update(ended_position=None),
    "message_end_position, before": lambda: answers().update(ended_position=F("position")),
    "turn_without_hold": lose_a_hold,
    "hold_without_turn": lambda: Hold.objects.update(status="open", settled_at=None),
    "hold_end": lambda: Hold.objects.filter(status="settled").update(settled_at=None),
    "turn_without_record": lambda: UsageRecord.objects.all().delete(),
    "record_too_early": record_of_a_running_turn,
    "record_of_message": lambda: UsageRecord.objects.update(completion_tokens=21),
    "record_of_message, its cost": lambda: answers().update(cost=1),
    "record_of_turn": lambda: UsageRecord.objects.filter(purpose="chat").update(outcome="failed"),
    "conversation_counts": lambda: Conversation.objects.update(message_count=7),
    "conversation_counts, positions": lambda: Conversation.objects.update(last_position=1),
    "conversation_counts, tokens": lambda: Conversation.objects.update(tokens=0),
    "conversation_counts, cost": lambda: Conversation.objects.update(cost=0),
    "position_doubled": double_a_position,
    "end_doubled": double_an_end,
    "message_parent": a_parent_elsewhere,
    "message_parent, later": lambda: Message.objects.filter(content="Hi").update(position=50),
    "summary_place": a_summary_elsewhere,
    "key_without_turn": a_key_without_turn,
    "key_without_answer": lambda: IdempotencyRecord.objects.update(answer=None),
    "index_position": lambda: Conversation.objects.update(indexed_position=99),
    "index_position, of titles": lambda: Conversation.objects.update(titled_position=99),
    "index_of_nothing": a_piece_of_nothing,
    "counters": lambda: Window.objects.update(used=5),
    "counters, held": lambda: Window.objects.update(held=5),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_difference_is_named_with_its_rows_and_what_to_do(books, run, forged):
    FORGED[forged]()

    told = {each["kind"]: each for each in found(run)}

    difference = told[forged.split(",")[0]]
    assert difference["found"]
    assert difference["says"].endswith(".")
    assert difference["remedy"]


def test_books_that_agree_have_none_whatever_runs(books, run):
    assert found(run) == []
    assert run("audit_books") == (0, "The books agree.\n", "")


def test_what_was_deleted_and_said_anew_leaves_none(alice, books, conversation, script, run):
    script(*HELLO)
    answer = answers().get()
    delete_conversation(alice, running().get().conversation_id)
    again = regenerate(alice, answer.pk).ref
    assert found(run) == []
    delete_message(alice, again.message_id)
    delete_message(alice, answer.pk)

    assert found(run) == []
    assert not running().exists()


def test_each_difference_is_a_line_and_the_end_is_1(books, run):
    ended().update(text="Hello")
    Window.objects.update(used=5)

    code, out, err = run("audit_books")

    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == ["turn_text"] * 2 + ["counters"]
    assert "used_by_ledger=180" in out
    assert out.splitlines()[-1].endswith("Run: manage.py audit_usage --repair")
    assert err == "The books disagree. Differences: 3."


def test_a_turn_that_nobody_moves_on_is_named_by_who_waits(books, run, settings):
    settings.DEAD_TURN_SECONDS = 0
    runner.close_from_thread()  # a command has none
    turn = running().get()

    code, out, _err = run("audit_books", "--wait", "--format", "json")

    (difference,) = json.loads(out)["differences"]
    assert (code, difference["kind"]) == (1, "turn_without_owner")
    assert difference["found"] == {"id": str(turn.pk)}
    assert difference["remedy"] == "Run: manage.py reap_turns"
    assert running().exists()


def test_it_sees_one_moment_and_keeps_nobody_waiting(books, alice):
    """While it looks others write, and it goes on seeing what was there when it began."""

    def move_on():
        with write_transaction():
            return running().update(beat=7)

    with snapshot():
        assert running().get().beat == 0
        # In memory SQLite has no versions of its rows.
        moved = [1] if connection.vendor == "sqlite" else all_at_once([move_on])
        assert moved == [1]
        assert running().get().beat == 0
