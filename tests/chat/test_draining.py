"""F2: a process that is asked to end lets its turns end, then ends them with their text."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.db import OperationalError, connection

from chat.models import Conversation, Message, Turn
from chat.services.turn_requests import chat_once, regenerate, send_message
from chat.streams.hub import hub
from chat.turns.places import Places
from chat.turns.runner import Runner, runner
from common import lifecycle
from common.db import in_thread
from common.errors import Unavailable
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold
from tests.chat.conftest import Gate, read, turn_row
from tests.waiting import until


@pytest.fixture(autouse=True)
def _no_place_taken(monkeypatch):
    """By turns that other tests prepared and never began."""
    monkeypatch.setattr(runner, "_places", Places())


@pytest.fixture
def draining(monkeypatch):
    monkeypatch.setattr(lifecycle, "draining", True)


def drain():
    assert runner.loop is not None
    return asyncio.run_coroutine_threadsafe(runner.drain(), runner.loop)


def in_the_middle(alice, conversation, script, text="So far"):
    gate = Gate()
    script(TextDelta(text), gate, TextDelta(", done."), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")
    return ref, gate


@pytest.mark.row("F2")
def test_a_turn_that_ends_in_time_is_complete(alice, conversation, script, settings):
    settings.SHUTDOWN_TURN_SECONDS = 20
    ref, gate = in_the_middle(alice, conversation, script)

    draining = drain()
    gate.open()
    draining.result(10)

    assert read(ref)[-1]["message"]["content"] == "So far, done."
    assert turn_row(ref).status == "complete"


@pytest.mark.row("F2")
def test_a_turn_that_does_not_is_interrupted_with_its_text(alice, conversation, script, settings):
    settings.SHUTDOWN_TURN_SECONDS = 0.1
    ref, _gate = in_the_middle(alice, conversation, script)

    drain().result(10)

    assert turn_row(ref).status == "interrupted"
    message = Message.objects.get(pk=ref.message_id)
    assert (message.content, message.error_code) == ("So far", "unavailable")
    assert "cut off because the server was stopped or restarted" in message.error_detail
    assert message.completion_tokens
    assert Hold.objects.get().status == Hold.Status.SETTLED
    assert read(ref)[-1]["message"]["status"] == "interrupted"
    assert script.closed_early == 1


@pytest.mark.row("F2")
def test_many_turns_end_side_by_side(alice, model, script, settings):
    settings.SHUTDOWN_TURN_SECONDS = 0.1
    refs = []
    for _ in range(12):
        conversation = Conversation.objects.create(owner=alice.user, model=model.name)
        refs.append(in_the_middle(alice, conversation, script)[0])

    drain().result(10)

    assert set(Turn.objects.values_list("status", flat=True)) == {"interrupted"}
    assert {read(ref)[-1]["message"]["content"] for ref in refs} == {"So far"}


@pytest.mark.row("F2")
def test_a_turn_that_was_being_prepared_as_the_end_came_has_its_grace_too(
    alice, conversation, model, script, settings
):
    """Its request was let in a moment before, and the others end first."""
    settings.SHUTDOWN_TURN_SECONDS = 20
    first, first_gate = in_the_middle(alice, conversation, script)
    other = Conversation.objects.create(owner=alice.user, model=model.name)

    draining = drain()
    late, late_gate = in_the_middle(alice, other, script)
    first_gate.open()
    until(lambda: turn_row(first).status == "complete", "the first one ends")
    until(lambda: first.turn_id not in runner.turns, "and is gone")
    assert not draining.done()
    late_gate.open()
    draining.result(10)

    assert turn_row(late).status == "complete"
    assert read(late)[-1]["message"]["content"] == "So far, done."


@pytest.mark.row("F2")
def test_a_second_signal_ends_them_at_once(alice, conversation, script, settings, monkeypatch):
    settings.SHUTDOWN_TURN_SECONDS = 600
    monkeypatch.setattr(lifecycle, "hurried", True)
    ref, _gate = in_the_middle(alice, conversation, script)

    drain().result(10)

    assert turn_row(ref).status == "interrupted"


@pytest.mark.row("F2")
def test_a_turn_whose_commit_failed_is_not_waited_for(
    alice, conversation, script, settings, monkeypatch
):
    settings.SHUTDOWN_TURN_SECONDS = 600
    runner.ensure()

    commit = connection.commit

    def fail():
        if Turn.objects.exists():
            raise OperationalError("the database went away")
        commit()

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", fail)
        with pytest.raises(OperationalError):
            send_message(alice, conversation.id, content="Hi")

    assert not Turn.objects.exists()
    drain().result(5)


def test_a_process_without_turns_has_nothing_to_wait_for(settings):
    settings.SHUTDOWN_TURN_SECONDS = 600
    runner.ensure()

    drain().result(5)


@pytest.mark.row("F2")
@pytest.mark.usefixtures("draining")
def test_new_turns_are_refused_and_leave_nothing(alice, conversation, script):
    for begin in (
        lambda: send_message(alice, conversation.id, content="Hi"),
        lambda: chat_once(alice, messages=[{"role": "user", "content": "Hi"}]),
    ):
        with pytest.raises(Unavailable) as refusal:
            begin()
        assert refusal.value.retry_after

    assert not Turn.objects.exists()
    assert not Message.objects.exists()
    conversation.refresh_from_db()
    assert conversation.last_position == 0


def test_an_answer_is_not_begun_again_while_draining(alice, conversation, script, monkeypatch):
    script(TextDelta("Hello"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    read(ref)
    monkeypatch.setattr(lifecycle, "draining", True)

    with pytest.raises(Unavailable):
        regenerate(alice, ref.message_id)

    assert Turn.objects.count() == 1


def test_whoever_repeats_a_key_while_draining_still_gets_the_answer(
    alice, conversation, script, monkeypatch
):
    script(TextDelta("Hello"), Finished("stop"))
    first = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    read(first.ref)
    monkeypatch.setattr(lifecycle, "draining", True)

    assert send_message(alice, conversation.id, content="Hi", idempotency_key="k").joined


def test_a_command_ends_its_turns_before_it_exits(alice, conversation, script):
    ref, _gate = in_the_middle(alice, conversation, script)

    runner.close_from_thread()

    assert turn_row(ref).status == "interrupted"
    assert runner.loop is None
    assert hub.mirror is None


def test_after_that_a_new_loop_is_made_on_the_next_use(alice, conversation, script):
    runner.close_from_thread()
    script(TextDelta("Hello"), Finished("stop"))

    ref = send_message(alice, conversation.id, content="Hi").ref

    assert read(ref)[-1]["message"]["content"] == "Hello"


def test_the_loop_is_made_once_however_many_ask(settings):
    runner.close_from_thread()

    threads = [threading.Thread(target=runner.ensure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    loop = runner.loop
    runner.ensure()
    assert loop is not None
    assert runner.loop is loop


@pytest.mark.django_db(transaction=True)
async def test_a_server_runs_turns_on_its_own_loop_and_closes_what_servers_left(
    alice, conversation, not_launched, settings
):
    """ARCHITECTURE, death: without Redis, before it calls itself healthy."""
    settings.REDIS_URL = ""
    ref = (await in_thread(send_message)(alice, conversation.id, content="Hi")).ref
    await in_thread(lambda: Turn.objects.update(owner="server-dead"))()
    server = Runner()
    loop, mirror = hub.loop, hub.mirror

    try:
        await server.serve()

        assert server.owner.startswith("server-")
        assert server.loop is asyncio.get_running_loop()
        assert (await in_thread(turn_row)(ref)).status == "interrupted"
    finally:
        await server.close()
        if loop is not None:
            hub.attach(loop, mirror)
