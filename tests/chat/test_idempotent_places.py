"""One key, one place: naming the message that was meant anyway makes no other request (T1)."""

from __future__ import annotations

from functools import partial

import pytest

from chat.errors import IdempotencyConflict
from chat.models import Message
from chat.services.turn_requests import send_message
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import read

pytestmark = pytest.mark.django_db(transaction=True)


def answer(script, *, times=1):
    for _ in range(times):
        script(TextDelta("Hello"), Finished("stop"))


@pytest.fixture
def two_turns(alice, conversation, script):
    """Question, answer, question, answer: their ids."""
    answer(script, times=2)
    for text in ("One", "Two"):
        read(send_message(alice, conversation.id, content=text).ref)
    return list(Message.objects.order_by("position").values_list("id", flat=True))


def test_the_place_that_is_named_is_the_same_as_the_one_that_was_meant(
    alice, conversation, two_turns, script
):
    """T1: the answer that has come meanwhile moves no request elsewhere."""
    newest = two_turns[-1]
    send = partial(send_message, alice, conversation.id, content="Hi")
    answer(script, times=2)
    unnamed = send(idempotency_key="k")
    read(unnamed.ref)

    assert send(idempotency_key="k", parent_id=newest).ref == unnamed.ref
    assert send(idempotency_key="k", parent_id=newest, model="echo").ref == unnamed.ref
    assert send(idempotency_key="k").ref == unnamed.ref

    later = Message.objects.order_by("-position").values_list("id", flat=True)[0]
    named = send(idempotency_key="l", parent_id=later)
    read(named.ref)
    assert send(idempotency_key="l").ref == named.ref
    for other in (newest, None):
        with pytest.raises(IdempotencyConflict):
            send(idempotency_key="l", parent_id=other)
    with pytest.raises(IdempotencyConflict):
        send(idempotency_key="k", parent_id=later)


def test_the_first_place_of_an_empty_conversation_may_be_named(alice, conversation, script):
    answer(script)
    begun = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    read(begun.ref)

    again = send_message(alice, conversation.id, content="Hi", parent_id=None, idempotency_key="k")

    assert again.ref == begun.ref


@pytest.mark.parametrize("place", [0, 1, 2, None])
def test_a_place_that_was_not_the_newest_is_another_one(
    alice, conversation, two_turns, script, place
):
    answer(script)
    parent = two_turns[place] if place is not None else None
    send = partial(send_message, alice, conversation.id, content="Hi", idempotency_key="k")
    read(send(parent_id=parent).ref)

    assert send(parent_id=parent).joined
    with pytest.raises(IdempotencyConflict):
        send()
    with pytest.raises(IdempotencyConflict):
        send(parent_id=two_turns[3])
