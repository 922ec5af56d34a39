"""A turn's fixed price is its statements: a new one is a red test, and one less is news."""

from __future__ import annotations

import re

import pytest
from constance import config
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.models import Conversation, Message
from chat.services.messages import branch
from chat.services.turn_requests import chat_once, regenerate, send_message
from chat.turns import running
from chat.turns.finish import finish_turn
from common import runtime_settings
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import read
from tests.chat.rows import chain

# Of the books, while they are added to: SQLite has one writer anyway.
LOCK = connection.vendor == "postgresql"
NOT_COUNTED = re.compile(r"^(BEGIN|COMMIT|SAVEPOINT|RELEASE|SET CONSTRAINTS|PRAGMA)")


def statements(context):
    return [q["sql"] for q in context.captured_queries if not NOT_COUNTED.match(q["sql"])]


@pytest.fixture(autouse=True)
def _settings_read(settings, db):
    """What changes while Parley runs is read once in seconds: it has just been read."""
    settings.RUNTIME_SETTINGS_SECONDS = 3_600
    runtime_settings.forget()
    assert config.hold_output_tokens


@pytest.fixture
def warm(alice, conversation, script):
    """A conversation with a past, and whatever is read once per process read already."""
    script(TextDelta("Hello"), Finished("stop"))
    read(send_message(alice, conversation.id, content="Hi").ref)
    return conversation


def sent(begin):
    with CaptureQueriesContext(connection) as context:
        ref = begin().ref
    read(ref)
    return statements(context)


def test_sending_a_message(alice, warm, script):
    script(TextDelta("Hello"), Finished("stop"))

    found = sent(lambda: send_message(alice, warm.id, content="Hi"))

    # Two of them for the hold: which limits there are, and room in the one of the standard plan.
    assert len(found) == 8, "\n".join(found)


def test_sending_with_a_key_reads_it_twice_and_writes_it_once(alice, warm, script):
    script(TextDelta("Hello"), Finished("stop"))
    plain = len(sent(lambda: send_message(alice, warm.id, content="Hi")))
    script(TextDelta("Hello"), Finished("stop"))

    found = sent(lambda: send_message(alice, warm.id, content="Ho", idempotency_key="k"))

    assert len(found) == plain + 3, "\n".join(found)


def test_the_length_of_the_conversation_costs_no_statement(alice, warm, script):
    script(TextDelta("Hello"), Finished("stop"))
    short = len(sent(lambda: send_message(alice, warm.id, content="Hi")))
    other = Conversation.objects.create(owner=alice.user, model="echo")
    chain(other, 150)
    script(TextDelta("Hello"), Finished("stop"))

    long = len(sent(lambda: send_message(alice, other.id, content="Hi")))

    assert long == short


def test_what_outgrows_its_window_costs_a_look_for_summaries_and_once_a_mark(alice, warm, script):
    script(TextDelta("Hello"), Finished("stop"))
    plain = len(sent(lambda: send_message(alice, warm.id, content="Hi")))
    other = Conversation.objects.create(owner=alice.user, model="echo")
    chain(other, 150, content="Something that takes its room. " * 20)
    counts = []
    for _turn in range(2):
        script(TextDelta("Hello"), Finished("stop"))
        counts.append(len(sent(lambda: send_message(alice, other.id, content="Hi"))))

    assert counts == [plain + 2, plain + 1]


def test_regenerating(alice, warm, script):
    answer = Message.objects.get(role="assistant")
    script(TextDelta("Hello"), Finished("stop"))

    found = sent(lambda: regenerate(alice, answer.id))

    assert len(found) == 10, "\n".join(found)


def test_a_stateless_turn(alice, warm, script):
    script(TextDelta("Hello"), Finished("stop"))

    found = sent(lambda: chat_once(alice, messages=[{"role": "user", "content": "Hi"}]))

    assert len(found) == 5, "\n".join(found)


def finished(monkeypatch, begin):
    """The statements of `finish_turn`, which runs in a thread of the runner's."""
    seen, real = [], finish_turn

    def finish(ending):
        with CaptureQueriesContext(connection) as context:
            ended = real(ending)
        seen.extend(statements(context))
        return ended

    monkeypatch.setattr(running, "finish_turn", finish)
    read(begin().ref)
    return seen


def test_finishing_a_turn(alice, warm, script, monkeypatch):
    script(TextDelta("Hello"), Finished("stop"))

    found = finished(monkeypatch, lambda: send_message(alice, warm.id, content="Hi"))

    assert len(found) == 7 + LOCK, "\n".join(found)


def test_finishing_a_stateless_turn(alice, warm, script, monkeypatch):
    script(TextDelta("Hello"), Finished("stop"))

    found = finished(
        monkeypatch, lambda: chat_once(alice, messages=[{"role": "user", "content": "Hi"}])
    )

    assert len(found) == 5 + LOCK, "\n".join(found)


@pytest.mark.parametrize("count", [10, 100])
def test_reading_a_branch_costs_the_same_for_ten_and_a_hundred(alice, conversation, count):
    chain(conversation, count)

    with CaptureQueriesContext(connection) as context:
        branch(alice, conversation.id, limit=100)

    assert len(statements(context)) == 3
