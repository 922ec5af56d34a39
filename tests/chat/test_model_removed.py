"""A model that is removed stops what it is answering (A8)."""

from __future__ import annotations

from chat.models import Message
from chat.services.turn_requests import send_message
from models_registry.providers.base import TextDelta
from models_registry.services.connections import delete_connection
from quotas.models import Hold
from tests.chat.conftest import Gate, read, text_of
from tests.waiting import until


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
