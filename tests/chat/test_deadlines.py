"""F9: connecting, the first token, silence and the whole turn each have their time."""

from __future__ import annotations

import asyncio

import pytest

from chat.models import Conversation, Message
from chat.services.turn_requests import send_message
from chat.turns.runner import runner
from models_registry.providers.base import Finished, ReasoningDelta, TextDelta
from tests.chat.conftest import Gate, read
from tests.waiting import until

pytestmark = pytest.mark.row("F9")


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.PROVIDER_TRIES = 1
    settings.WATCH_SECONDS = 0.01


def ask(alice, conversation):
    ref = send_message(alice, conversation.id, content="Hi").ref
    return read(ref)[-1], Message.objects.get(pk=ref.message_id)


def test_a_first_token_that_does_not_come_is_a_timeout(alice, conversation, script, settings):
    settings.PROVIDER_FIRST_TOKEN_SECONDS = 0.05
    script(Gate())

    end, message = ask(alice, conversation)

    assert (end["type"], end["code"]) == ("chat_error", "upstream_timeout")
    assert (message.status, message.error_code) == ("failed", "upstream_timeout")
    assert script.closed_early == 1


def test_a_first_token_timeout_is_tried_again_like_any_failure(
    alice, conversation, script, settings
):
    settings.PROVIDER_FIRST_TOKEN_SECONDS = 0.05
    settings.PROVIDER_TRIES = 2
    script(Gate())
    script(TextDelta("Late, but here."), Finished("stop"))

    _end, message = ask(alice, conversation)

    assert message.content == "Late, but here."


def test_silence_after_some_text_interrupts_and_keeps_it(alice, conversation, script, settings):
    settings.PROVIDER_SILENCE_SECONDS = 0.1
    script(TextDelta("Some text"), Gate())

    end, message = ask(alice, conversation)

    assert end["type"] == "chat_complete"
    assert (message.status, message.error_code) == ("interrupted", "upstream_timeout")
    assert message.content == "Some text"
    assert message.completion_tokens > 0
    assert script.closed_early == 1


def test_a_token_now_and_then_is_no_silence(alice, conversation, script, settings):
    """Each delta moves the deadline, reasoning too."""
    settings.PROVIDER_SILENCE_SECONDS = 5
    settings.PROVIDER_FIRST_TOKEN_SECONDS = 0.2
    script(ReasoningDelta("Hm."), *(TextDelta("word ") for _ in range(20)), Finished("stop"))

    _end, message = ask(alice, conversation)

    assert message.status == "complete"


def test_a_trickle_ends_with_the_turn_s_own_time(alice, conversation, script, settings):
    """A read timeout never fires on a trickle."""
    settings.TURN_SECONDS = 0.2
    script(*(TextDelta("w ") for _ in range(100_000)), Gate())

    end, message = ask(alice, conversation)

    assert end["type"] == "chat_complete"
    assert (message.status, message.error_code) == ("interrupted", "upstream_timeout")
    assert message.content.startswith("w w ")


@pytest.mark.row("F14")
def test_the_turn_s_own_time_bounds_the_retries_too(alice, conversation, script, settings):
    """F14: all inside F9."""
    settings.TURN_SECONDS = 0.2
    settings.PROVIDER_TRIES = 2
    settings.PROVIDER_FIRST_TOKEN_SECONDS = 600
    script(Gate())

    end, message = ask(alice, conversation)

    assert end["code"] == "upstream_timeout"
    assert message.status == "failed"
    assert len(script.requests) == 1


def test_a_provider_that_closes_slowly_does_not_stop_the_watch(
    alice, conversation, script, settings, monkeypatch
):
    """The deadlines of all other turns depend on the same watch."""
    settings.PROVIDER_SILENCE_SECONDS = 0.05
    closing = Gate()

    class ClosesSlowly:
        def __init__(self):
            self.steps = iter([TextDelta("Some text")])

        def __aiter__(self):
            return self

        async def __anext__(self):
            for step in self.steps:
                return step
            return await asyncio.Event().wait()

        async def aclose(self):
            await closing.wait()

    monkeypatch.setattr(script, "stream", lambda _request: ClosesSlowly())
    slow = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: closing.reached, "the provider is being closed")
    ticks = []
    monkeypatch.setattr("chat.turns.runner.hub.sweep", lambda: ticks.append(1))
    until(lambda: len(ticks) > 5, "the watch goes on", seconds=5)

    closing.open()

    assert read(slow)[-1]["message"]["status"] == "interrupted"


def test_a_watch_that_fails_once_goes_on(alice, conversation, script, settings, monkeypatch):
    ticks = []

    def sweep():
        ticks.append(1)
        if len(ticks) == 1:
            raise RuntimeError("a bug")

    runner.ensure()
    monkeypatch.setattr("chat.turns.runner.hub.sweep", sweep)

    until(lambda: len(ticks) > 3, "the watch goes on", seconds=5)


def test_two_turns_have_each_their_own_silence(alice, conversation, script, settings):
    settings.PROVIDER_SILENCE_SECONDS = 0.2
    gate = Gate()
    other = Conversation.objects.create(owner=alice.user, model="echo")
    script(TextDelta("Silent"), Gate())
    silent = send_message(alice, conversation.id, content="Hi").ref
    script(gate, TextDelta("Fine"), Finished("stop"))
    fine = send_message(alice, other.id, content="Hi").ref

    assert read(silent)[-1]["message"]["status"] == "interrupted"
    gate.open()
    assert read(fine)[-1]["message"]["status"] == "complete"
