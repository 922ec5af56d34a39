"""F3: a failure at any wait of a turn ends it; and nothing of it is lost to the collector."""

from __future__ import annotations

import gc
import types
from itertools import count

import pytest

from chat.models import Conversation, Message
from chat.services.turn_requests import send_message
from chat.turns import runner as runner_module
from chat.turns import running
from chat.turns.runner import runner
from models_registry import cooldown
from models_registry.errors import ProviderBusy
from models_registry.providers.base import Finished, TextDelta, Usage
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, read, turn_row
from tests.waiting import until

pytestmark = pytest.mark.row("F3")

COROUTINES = {
    "the whole of it": (runner_module, "run_turn"),
    "what asks the provider": (running, "provider_phase"),
}


class Bug(Exception):
    """Ours."""


class Failing:
    """Puts itself before a coroutine function and raises at its `place`-th wait, once.

    `late`: not before what is waited for, but after it has been done.
    """

    def __init__(self, function, place, *, late):
        self.function, self.place, self.late = function, place, late
        self.raised = False

    def __call__(self, *arguments):
        return self._driven(self.function(*arguments))

    @types.coroutine
    def _driven(self, work):
        go_on, value = work.send, None
        for wait in count():
            here = wait == self.place
            try:
                waited_for = go_on(value)
                if here and not self.late:
                    self.raised = True
                    waited_for = work.throw(Bug())
            except StopIteration as end:
                return end.value
            try:
                value, go_on = (yield waited_for), work.send
            except BaseException as exc:  # noqa: BLE001 a cancel is handed on, as a value is
                value, go_on = exc, work.throw
            if here and self.late:
                self.raised = True
                value, go_on = Bug(), work.throw


def one_turn(alice, model, script):
    """A turn that has everything: a try that fails, a pause, text, a count."""
    conversation = Conversation.objects.create(owner=alice.user, model=model.name)
    script.scripts.clear()
    cooldown.clear()
    script(ProviderBusy(retry_after=0))
    script(TextDelta("Some "), TextDelta("text"), Finished("stop", Usage(20, 2)))
    ref = send_message(alice, conversation.id, content="Hi").ref
    return ref, read(ref)[-1]


def has_ended(ref, end):
    """How it ended; every place where an end stands says the same, and nothing is held."""
    message, turn = Message.objects.get(pk=ref.message_id), turn_row(ref)
    assert message.status == turn.status
    assert Hold.objects.get(turn_id=ref.turn_id).status == Hold.Status.SETTLED
    assert UsageRecord.objects.get(turn_id=ref.turn_id).outcome == turn.status
    if turn.status == "failed":
        assert (end["type"], end["code"]) == ("chat_error", "internal")
    else:
        assert end["message"]["status"] == turn.status
    until(lambda: ref.turn_id not in runner.turns, "its owner let go")
    return turn.status


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", COROUTINES)
def test_a_failure_at_any_wait_ends_the_turn_as_failed(
    alice, model, script, monkeypatch, name, late
):
    module, attribute = COROUTINES[name]
    function, ends = getattr(module, attribute), []
    for place in count():
        failing = Failing(function, place, late=late)
        monkeypatch.setattr(module, attribute, failing)
        status = has_ended(*one_turn(alice, model, script))
        if not failing.raised:
            break
        ends.append(status)

    assert status == "complete", "that one was not disturbed"
    assert len(ends) >= 2
    # What had been stored when the failure came stays as it was stored.
    assert ends[:-1] == ["failed"] * (len(ends) - 1)
    assert ends[-1] in {"failed", "complete"}


def test_a_running_turn_survives_the_collector(alice, conversation, script):
    """asyncio itself keeps weak references only."""
    gate = Gate()
    script(TextDelta("Some "), gate, TextDelta("text"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")

    gc.collect()
    gate.open()

    assert read(ref)[-1]["message"]["content"] == "Some text"
