"""A model that is removed stops what it is answering (A8)."""

from __future__ import annotations

import pytest

from chat.models import Message, Turn
from chat.services.turn_requests import send_message
from models_registry.errors import ProviderFailed
from models_registry.providers.base import Finished, TextDelta
from models_registry.services.connections import delete_connection
from quotas.models import Hold
from tests.chat.conftest import Gate, make_model, read, turn_row
from tests.events import text_of
from tests.waiting import until

pytestmark = pytest.mark.row("A8")


def test_a_connection_is_deleted_under_a_running_turn(alice, conversation, model, script):
    gate = Gate()
    script(TextDelta("So far"), gate)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the model speaks")

    delete_connection(model.connection, actor=None)

    events = read(started.ref)
    assert events[-1]["message"]["status"] == "stopped"
    assert text_of(events) == "So far"
    assert Message.objects.get(pk=started.ref.message_id).content == "So far"
    assert Hold.objects.get().status == Hold.Status.SETTLED
    assert script.closed_early == 1


@pytest.fixture
def fallback(model):
    second = make_model("second")
    model.fallbacks = [str(second.id)]
    model.save()
    return second


def test_a_model_that_answers_as_a_fallback_is_removed(
    alice, conversation, fallback, script, settings
):
    settings.PROVIDER_TRIES = 1
    gate = Gate()
    script(ProviderFailed())
    script(TextDelta("So far"), gate)
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: gate.reached, "the fallback speaks")

    delete_connection(fallback.connection, actor=None)

    assert read(started.ref)[-1]["message"]["status"] == "stopped"
    assert script.closed_early == 2


def test_a_fallback_that_is_not_needed_any_more_is_removed(alice, conversation, fallback, script):
    gate = Gate()
    script(TextDelta("So far"), gate, TextDelta(" so good"), Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    until(lambda: turn_row(started.ref).answering == 0, "the row says who answers")

    delete_connection(fallback.connection, actor=None)
    gate.open()

    message = read(started.ref)[-1]["message"]
    assert (message["status"], message["content"]) == ("complete", "So far so good")


def test_the_turn_of_another_process_is_asked_to_stop_by_its_row(
    alice, conversation, fallback, not_launched
):
    send_message(alice, conversation.id, content="Hi")
    Turn.objects.update(owner="server-elsewhere", answering=1)

    delete_connection(fallback.connection, actor=None)

    assert Turn.objects.get().stop_requested_at is not None
