"""F3: whatever fails in running a turn ends it, and readers get that end."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError

from chat.models import Message, Turn
from chat.services.turn_requests import send_message
from chat.streams.hub import hub
from chat.turns import attempts, running, tools
from chat.turns.checkpoints import save_checkpoints
from chat.turns.closing import close_turn
from chat.turns.finish import finish_turn
from chat.turns.runner import runner
from common.errors import Unavailable
from models_registry.errors import ProviderFailed
from models_registry.providers.base import Finished, TextDelta, ToolCallDelta
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, read, turn_row
from tests.waiting import until

pytestmark = pytest.mark.row("F3")


class Bug(Exception):
    """Ours."""


def bug(*_args, **_more):
    raise Bug


async def async_bug(*_args, **_more):
    raise Bug


def failed_internal(ref):
    end = read(ref)[-1]
    assert (end["type"], end["code"]) == ("chat_error", "internal")
    message = Message.objects.get(pk=ref.message_id)
    assert (message.status, message.error_code) == ("failed", "internal")
    assert Hold.objects.get().status == Hold.Status.SETTLED
    assert turn_row(ref).status == "failed"
    return message


@pytest.mark.parametrize(
    ("place", "steps"),
    [
        ("provider_for", ()),
        ("_converse", ()),
        ("_ask_in_order", ()),
        ("_take", (TextDelta("Hello"),)),
        ("_sum", (TextDelta("Hello"), Finished("stop"))),
        ("_pause", (ProviderFailed(),)),
    ],
)
def test_a_bug_anywhere_in_the_provider_phase_ends_the_turn(
    alice, conversation, script, monkeypatch, place, steps
):
    script(*steps)
    monkeypatch.setattr(attempts, place, bug)

    ref = send_message(alice, conversation.id, content="Hi").ref

    failed_internal(ref)


def test_a_provider_that_raises_what_it_may_not_ends_the_turn_with_its_text(
    alice, conversation, script
):
    script(TextDelta("Some text"), Bug())

    ref = send_message(alice, conversation.id, content="Hi").ref

    assert failed_internal(ref).content == "Some text"


def test_a_provider_that_fails_to_close_ends_the_turn(alice, conversation, script, monkeypatch):
    class FailsToClose:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

        aclose = async_bug

    monkeypatch.setattr(script, "stream", lambda _request: FailsToClose())

    failed_internal(send_message(alice, conversation.id, content="Hi").ref)


def test_a_bug_in_the_tools_ends_the_turn(alice, conversation, script, monkeypatch):
    monkeypatch.setattr(tools, "run", async_bug)
    monkeypatch.setattr(runner, "launch", _with_a_tool(runner.launch))
    script(ToolCallDelta(0, "c", "look_up", "{}"), Finished("tool_calls"))

    failed_internal(send_message(alice, conversation.id, content="Hi").ref)


def _with_a_tool(launch):
    def launch_with(prepared, start):
        prepared.tools = {"look_up": tools.Tool({"type": "function"}, async_bug)}
        launch(prepared, start)

    return launch_with


@pytest.mark.parametrize("place", ["_ending", "_finish", "finish_turn"])
def test_a_bug_in_storing_the_end_stores_a_failure(alice, conversation, script, monkeypatch, place):
    """At once, not when the turn is tended."""
    script(TextDelta("Some text"), Finished("stop"))
    monkeypatch.setattr(running, place, bug)

    ref = send_message(alice, conversation.id, content="Hi").ref

    assert failed_internal(ref).content == "Some text"
    assert UsageRecord.objects.get().completion_tokens > 0


@pytest.mark.row("F5")
def test_a_database_that_is_away_while_finishing_is_waited_for(
    alice, conversation, script, monkeypatch
):
    """F5: complete, as if nothing had been."""
    script(TextDelta("Some text"), Finished("stop"))
    real, calls = finish_turn, []

    def away(ending):
        calls.append(ending)
        if len(calls) < 4:
            raise OperationalError("the database system is shutting down")
        return real(ending)

    monkeypatch.setattr(running, "finish_turn", away)

    ref = send_message(alice, conversation.id, content="Hi").ref
    events = read(ref)

    assert events[-1]["message"]["status"] == "complete"
    assert len(calls) == 4
    assert UsageRecord.objects.count() == 1


@pytest.mark.row("F5")
def test_a_database_that_stays_away_leaves_the_turn_to_be_tended(
    alice, conversation, script, monkeypatch, settings
):
    """F5: after FINISH_RETRY_SECONDS the row keeps its checkpoint; nothing else is tried."""
    settings.FINISH_RETRY_SECONDS = 0.3
    script(TextDelta("Some text"), Finished("stop"))
    statuses = []

    def away(ending):
        statuses.append(ending.status)
        raise OperationalError("away")

    monkeypatch.setattr(running, "finish_turn", away)

    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: statuses and ref.turn_id not in runner.turns, "the owner gave up")

    assert set(statuses) == {"complete"}
    assert turn_row(ref).status == Turn.Status.RUNNING
    assert Hold.objects.get().status == Hold.Status.OPEN


def test_an_end_that_was_committed_though_its_answer_was_lost_is_given_to_the_readers(
    alice, conversation, script, monkeypatch
):
    """The connection broke after COMMIT: the second try finds the row ended."""
    script(TextDelta("Some text"), Finished("stop"))
    real, calls = finish_turn, []

    def lost(ending):
        calls.append(ending)
        ended = real(ending)
        if len(calls) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return ended

    monkeypatch.setattr(running, "finish_turn", lost)

    ref = send_message(alice, conversation.id, content="Hi").ref
    events = read(ref)

    assert events[-1]["message"]["status"] == "complete"
    assert events[-1]["message"]["content"] == "Some text"
    assert UsageRecord.objects.count() == 1


@pytest.mark.row("F5")
def test_checkpoints_that_fail_are_made_up_for(alice, conversation, script, monkeypatch, settings):
    """F5: streams go on while the database is away."""
    settings.CHECKPOINT_SECONDS = 0.01
    gate = Gate()
    script(TextDelta("Some text"), gate, TextDelta(" and more"), Finished("stop"))
    calls = []

    def away(checkpoints):
        calls.append(checkpoints)
        if len(calls) < 4:
            raise OperationalError("away")
        return save_checkpoints(checkpoints)

    monkeypatch.setattr("chat.turns.runner.save_checkpoints", away)
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: turn_row(ref).text == "Some text", "a checkpoint was saved")

    gate.open()

    assert read(ref)[-1]["message"]["content"] == "Some text and more"
    assert len(calls) >= 4


@pytest.fixture
def given_up(alice, conversation, script, monkeypatch, settings):
    """A turn whose owner could not store its end."""
    settings.FINISH_RETRY_SECONDS = 0.1
    script(TextDelta("Some text"), Finished("stop"))

    def away(_ending):
        raise OperationalError("away")

    monkeypatch.setattr(running, "finish_turn", away)
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: ref.turn_id not in runner.turns, "the runner let go")
    return ref


def test_a_dead_turn_task_is_not_silent(given_up, caplog):
    """A task that dies is logged, and nobody thinks that the turn still runs here."""
    assert any("was not stored" in str(record.msg) for record in caplog.get_records("setup"))
    assert not hub.own[given_up.turn_id].ended


def test_readers_of_a_turn_that_was_given_up_hear_of_the_end_that_another_process_makes(given_up):
    """The other one tends the row; here nothing but the row tells of it."""
    Message.objects.update(status="interrupted", content="Some", error_code="unavailable")
    Turn.objects.update(status="interrupted", last_seq=1_000, error_code="unavailable")

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read, given_up)
        asyncio.run(hub.look())
        end = reading.result(20)[-1]

    assert (end["type"], end["message"]["status"]) == ("chat_complete", "interrupted")
    assert end["message"]["content"] == "Some"
    assert end["seq"] == 1_001


def test_a_turn_that_was_given_up_is_ended_here_with_all_its_text(given_up):
    """Where nobody else does: the text is more than the checkpoint has."""
    runner.submit(close_turn(given_up.turn_id, status="interrupted", error=Unavailable()))

    end = read(given_up)[-1]

    assert (end["message"]["status"], end["message"]["content"]) == ("interrupted", "Some text")


def test_the_log_of_a_turn_that_was_given_up_does_not_stay(given_up, settings):
    settings.TURN_LOG_SECONDS = 0
    Turn.objects.filter(pk=given_up.turn_id).delete()

    asyncio.run(hub.look())
    until(lambda: given_up.turn_id not in hub.own, "the log was dropped")
