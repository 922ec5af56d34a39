"""Stopping a turn, at whatever it is: the provider is closed, text and usage are kept."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from django.conf import settings as configured
from django.utils import timezone

from chat.models import Message, Turn
from chat.services.stopping import close_stopped, ending, request_stop, stop_turn
from chat.services.turn_requests import send_message
from chat.streams.hub import hub
from chat.streams.mirror import Mirror
from chat.streams.mirror.writing import Writer
from chat.turns.runner import runner
from common.db import in_thread
from common.errors import NotFound
from models_registry.errors import ProviderBusy
from models_registry.providers.base import Finished, ReasoningDelta, TextDelta, Usage
from quotas.models import Hold, UsageRecord
from tests import needs
from tests.chat.conftest import Gate, read, turn_row
from tests.waiting import until


def stopped(ref):
    """The message as the end event shows it, and as it is stored."""
    end = read(ref)[-1]
    assert end["type"] == "chat_complete"
    message = Message.objects.get(pk=ref.message_id)
    assert message.status == end["message"]["status"] == "stopped"
    assert end["message"]["error"] is None
    assert Hold.objects.get().status == Hold.Status.SETTLED
    return message


@pytest.mark.row("F15")
def test_while_streaming_the_text_so_far_is_kept_and_the_provider_closed(
    alice, conversation, script
):
    """F15"""
    gate = Gate()
    script(TextDelta("Some text"), gate, TextDelta(" more"), Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model is in the middle")

    assert request_stop(alice, started.ref.message_id) == started.ref

    message = stopped(started.ref)
    assert message.content == "Some text"
    assert message.prompt_tokens > 0
    assert message.completion_tokens > 0
    assert message.usage_estimated
    assert script.closed_early == 1
    assert UsageRecord.objects.get().outcome == "stopped"


@pytest.mark.row("F15")
def test_while_connecting_there_is_no_text_and_the_provider_is_closed(alice, conversation, script):
    """F15: also while connecting."""
    gate = Gate()
    script(gate, TextDelta("Never"), Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the provider is being asked")

    request_stop(alice, started.ref.message_id)

    message = stopped(started.ref)
    assert message.content == ""
    assert message.prompt_tokens > 0
    assert script.closed_early == 1


@pytest.mark.row("F15")
def test_while_backing_off_the_provider_is_not_asked_again(alice, conversation, script):
    """F15: also while backing off."""
    script(ProviderBusy(retry_after=20))
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: script.requests, "the first try failed")

    request_stop(alice, started.ref.message_id)

    stopped(started.ref)
    assert len(script.requests) == 1


def test_before_the_first_step_the_provider_is_never_asked(
    alice, conversation, script, monkeypatch
):
    script(TextDelta("Never"), Finished("stop"))
    spawn = runner._spawn  # noqa: SLF001 the moment before the first step

    def stop_and_spawn(turn):
        turn.end_phase(Turn.StopReason.PERSON)
        spawn(turn)

    monkeypatch.setattr(runner, "_spawn", stop_and_spawn)
    started = send_message(alice, conversation.id, content="Hi")

    message = stopped(started.ref)
    assert message.content == ""
    assert script.requests == []


def test_after_the_end_there_is_nothing_to_stop(alice, conversation, script):
    script(TextDelta("Done"), Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    read(started.ref)

    assert request_stop(alice, started.ref.message_id) is None

    assert Message.objects.get(pk=started.ref.message_id).status == "complete"


def test_reasoning_without_text_is_kept_and_charged(alice, conversation, script):
    gate = Gate()
    script(ReasoningDelta("Let me think about that."), gate)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model is in the middle")

    request_stop(alice, started.ref.message_id)

    message = stopped(started.ref)
    assert message.reasoning == "Let me think about that."
    assert message.completion_tokens > 0


def test_the_first_reason_counts_and_a_second_stop_changes_nothing(alice, conversation, script):
    gate = Gate()
    script(TextDelta("Some"), gate)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model is in the middle")

    request_stop(alice, started.ref.message_id)
    request_stop(alice, started.ref.message_id)
    runner.stop(started.ref.turn_id, Turn.StopReason.SHUTDOWN)

    stopped(started.ref)
    assert turn_row(started.ref).stop_reason == "person"


@pytest.mark.row("F15")
def test_the_checkpoint_alone_brings_the_stop(alice, conversation, script, settings):
    """Without a nudge and without Redis: within a second."""
    gate = Gate()
    script(TextDelta("Some text"), gate)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model is in the middle")

    Turn.objects.update(stop_requested_at=timezone.now(), stop_reason="person")

    assert stopped(started.ref).content == "Some text"
    assert script.closed_early == 1


@pytest.mark.row("F15")
@needs.redis
def test_a_stop_from_another_process_reaches_the_owner_through_redis(
    alice, conversation, script, settings
):
    """F15, issue 3 done 5: before any checkpoint could tell."""
    gate = Gate()
    script(TextDelta("Some text"), gate)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model is in the middle")
    settings.CHECKPOINT_SECONDS = 600

    async def elsewhere():
        other = Mirror(configured.REDIS_URL, "server-other", on_stop=lambda _turn: None)
        await other.writer.request_stop(runner.owner, started.ref.turn_id)
        await other.close()

    asyncio.run(elsewhere())

    assert stopped(started.ref).content == "Some text"


@needs.redis
def test_a_stop_of_anothers_turn_goes_to_its_owner(alice, conversation, not_launched, monkeypatch):
    """The service asks the process that the row names."""
    asked = []
    started = send_message(alice, conversation.id, content="Hi")
    Turn.objects.update(owner="server-elsewhere")
    runner.ensure()
    real = Writer.request_stop

    async def request(writer, owner, turn_id):
        asked.append((owner, turn_id))
        await real(writer, owner, turn_id)

    monkeypatch.setattr(Writer, "request_stop", request)

    request_stop(alice, started.ref.message_id)

    until(lambda: asked == [("server-elsewhere", started.ref.turn_id)], "the owner was asked")


def test_a_provider_that_swallows_a_cancel_is_cancelled_again(
    alice, conversation, script, monkeypatch
):
    """A client below may lose one (`asyncio.wait_for` before Python 3.12, redis-py)."""
    lost = []

    async def stream(_request):
        yield TextDelta("Some text")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.append("a cancel")
        await asyncio.Event().wait()

    monkeypatch.setattr(script, "stream", stream)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: hub.own[started.ref.turn_id].last_seq == 1, "the model speaks")

    request_stop(alice, started.ref.message_id)

    assert stopped(started.ref).content == "Some text"
    assert lost == ["a cancel"]


@pytest.mark.row("A6")
def test_strangers_and_unknown_messages_are_not_found_and_the_turn_goes_on(
    alice, charlie, conversation, script
):
    gate = Gate()
    script(TextDelta("Some "), gate, TextDelta("text"), Finished("stop", Usage(5, 2)))
    started = send_message(alice, conversation.id, content="Hi")

    with pytest.raises(NotFound):
        request_stop(charlie, started.ref.message_id)
    with pytest.raises(NotFound):
        request_stop(alice, conversation.id)

    gate.open()
    assert read(started.ref)[-1]["message"]["status"] == "complete"


def test_a_person_s_own_message_has_no_turn_to_stop(alice, conversation, script):
    script(TextDelta("Done"), Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    question = read(started.ref)[0]["user_message"]["id"]

    assert request_stop(alice, UUID(question)) is None


def test_an_owner_that_does_not_answer_is_ended_for_it(alice, conversation, not_launched):
    """The caller waits 2 s, then closes the turn itself, with what was checkpointed."""
    started = send_message(alice, conversation.id, content="Hi")
    Turn.objects.update(owner="server-dead", text="Some text", last_seq=3)

    close_stopped(started.ref.turn_id)

    message = stopped(started.ref)
    assert message.content == "Some text"
    assert turn_row(started.ref).last_seq >= 3


@pytest.mark.django_db(transaction=True)
async def test_whoever_waits_for_a_stop_sees_the_end_even_if_the_owner_is_gone(
    alice, conversation, not_launched, settings
):
    settings.STOP_WAIT_SECONDS = 0.05
    started = await in_thread(send_message)(alice, conversation.id, content="Hi")
    await in_thread(Turn.objects.update)(owner="server-dead", text="Some text", last_seq=3)

    await ending(started.ref)

    stored = Message.objects.filter(pk=started.ref.message_id, status="stopped")
    async with asyncio.timeout(10):
        while not await in_thread(stored.exists)():
            await asyncio.sleep(0.01)


def test_a_stop_for_a_claim_is_stored_with_its_reason(alice, conversation, script):
    gate = Gate()
    script(TextDelta("Some"), gate)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model is in the middle")

    stop_turn(turn_row(started.ref), reason=Turn.StopReason.CLAIM)

    stopped(started.ref)
    assert turn_row(started.ref).stop_reason == "claim"


def test_a_conversation_whose_epoch_moved_can_only_end_stopped(alice, conversation, script):
    """ARCHITECTURE, epoch: whoever speaks now must not be spoken over."""
    gate = Gate()
    script(TextDelta("Some text"), gate, Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model is in the middle")
    conversation.epoch += 1
    conversation.save(update_fields=["epoch"])
    gate.open()

    assert stopped(started.ref).content == "Some text"


def test_no_log_is_left_running(alice, conversation, script):
    script(TextDelta("Done"), Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    read(started.ref)

    until(lambda: not runner.turns, "the runner let go")
    assert all(log.ended for log in hub.own.values())
