"""One key, one turn: whoever repeats a request becomes one more reader of its turn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from chat.errors import IdempotencyConflict
from chat.models import Conversation, IdempotencyRecord, Message, Turn
from chat.services.conversations import delete_conversation
from chat.services.stopping import request_stop
from chat.services.turn_requests import (
    chat_once,
    regenerate,
    send_message,
    send_to_new_conversation,
)
from common import purging
from common.errors import AppError, Conflict, NotFound, RateLimited
from models_registry.errors import ModelUnavailable
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, make_model, read
from tests.chat.threads import all_at_once

pytestmark = pytest.mark.django_db(transaction=True)


def answer(script, *, times=1):
    for _ in range(times):
        script(TextDelta("Hello"), Finished("stop"))


@pytest.mark.row("T1")
def test_the_same_key_by_two_people_is_two_turns(alice, charlie, model, script):
    """T1"""
    answer(script, times=2)
    messages = [{"role": "user", "content": "Hi"}]

    one = chat_once(alice, messages=messages, idempotency_key="k")
    other = chat_once(charlie, messages=messages, idempotency_key="k")

    assert one.ref.turn_id != other.ref.turn_id
    assert not other.joined
    read(one.ref)
    read(other.ref)
    assert len(script.requests) == 2


def test_the_same_request_again_is_the_same_turn(alice, conversation, script):
    answer(script)
    first = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    whole = read(first.ref)

    again = send_message(alice, conversation.id, content="Hi", idempotency_key="k")

    assert again.joined
    assert again.ref == first.ref
    assert read(again.ref) == whole
    assert Turn.objects.count() == UsageRecord.objects.count() == 1


@pytest.mark.row("T1")
@pytest.mark.parametrize(
    "other",
    [
        {"content": "Ho"},
        {"content": "Hi", "model": "other"},
        {"content": "Ho", "model": "echo"},
        {"content": "Hi", "parameters": {"temperature": 1}},
    ],
)
def test_another_body_under_the_same_key_is_refused(alice, conversation, script, other):
    """T1: bound to the operation and its fields."""
    make_model("other")
    answer(script)
    read(send_message(alice, conversation.id, content="Hi", idempotency_key="k").ref)

    with pytest.raises(IdempotencyConflict):
        send_message(alice, conversation.id, idempotency_key="k", **other)

    assert Message.objects.count() == 2


@pytest.fixture(params=["send", "new", "chat", "regenerate"])
def ask(request, alice, conversation, script):
    """Ask by one of the roads, naming a model or not."""
    messages = [{"role": "user", "content": "Hi"}]
    old = None
    if request.param == "regenerate":
        answer(script)
        ref = send_message(alice, conversation.id, content="Hi").ref
        read(ref)
        old = ref.message_id

    def asked(**named):
        match request.param:
            case "send":
                found = send_message(alice, conversation.id, content="Hi", **named)
            case "new":
                found = send_to_new_conversation(alice, content="Hi", **named)
            case "chat":
                found = chat_once(alice, messages=messages, **named)
            case _:
                found = regenerate(alice, old, **named)
        read(found.ref)
        return found

    return asked


@pytest.mark.parametrize(("first", "again"), [("", "echo"), ("echo", "")])
def test_a_model_that_is_named_is_the_same_as_one_that_is_meant(ask, script, first, again):
    """T1: requests that mean the same are the same."""
    answer(script)
    begun = ask(model=first, idempotency_key="k")

    repeated = ask(model=again, idempotency_key="k")

    assert repeated.joined
    assert repeated.ref == begun.ref


def test_a_request_is_the_same_when_what_it_left_out_has_changed(alice, conversation, ask, script):
    """T1: the default counts that was one when the turn began."""
    make_model("other")
    answer(script)
    ask(idempotency_key="k")
    Conversation.objects.update(model="other")

    assert ask(idempotency_key="k").joined
    assert ask(model="echo", idempotency_key="k").joined
    with pytest.raises(IdempotencyConflict):
        ask(model="other", idempotency_key="k")


def test_a_model_that_was_named_is_not_the_one_that_is_meant_now(alice, conversation, ask, script):
    make_model("other")
    answer(script)
    ask(model="other", idempotency_key="k")
    Conversation.objects.update(model="echo")

    with pytest.raises(IdempotencyConflict):
        ask(idempotency_key="k")


def test_another_operation_under_the_same_key_is_refused(alice, conversation, script):
    answer(script)
    started = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    read(started.ref)

    with pytest.raises(IdempotencyConflict):
        regenerate(alice, started.ref.message_id, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        send_to_new_conversation(alice, content="Hi", idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        chat_once(alice, messages=[], idempotency_key="k")


def test_another_conversation_under_the_same_key_is_refused(alice, conversation, script):
    answer(script)
    other = Conversation.objects.create(owner=alice.user, model="echo")
    read(send_message(alice, conversation.id, content="Hi", idempotency_key="k").ref)

    with pytest.raises(IdempotencyConflict):
        send_message(alice, other.id, content="Hi", idempotency_key="k")


def test_the_order_of_fields_makes_no_other_body(alice, conversation, script):
    answer(script)
    one, two = {"temperature": 1, "top_p": 0.5}, {"top_p": 0.5, "temperature": 1}
    first = send_message(alice, conversation.id, content="Hi", parameters=one, idempotency_key="k")
    read(first.ref)

    again = send_message(alice, conversation.id, content="Hi", parameters=two, idempotency_key="k")

    assert again.joined


@pytest.mark.row("T2")
@pytest.mark.parametrize("road", ["send", "new", "chat", "regenerate"])
def test_of_fifty_requests_at_once_one_runs_and_all_get_its_answer(
    alice, conversation, script, road
):
    """T2"""
    if road == "regenerate":
        answer(script)
        old = send_message(alice, conversation.id, content="Hi").ref
        read(old)
        for rows in (UsageRecord, Hold, Turn):
            rows.objects.all().delete()
        script.requests.clear()
    answer(script)
    before = Message.objects.count()

    def request():
        match road:
            case "send":
                return send_message(alice, conversation.id, content="Hi", idempotency_key="k")
            case "new":
                return send_to_new_conversation(alice, content="Hi", idempotency_key="k")
            case "chat":
                messages = [{"role": "user", "content": "Hi"}]
                return chat_once(alice, messages=messages, idempotency_key="k")
        return regenerate(alice, old.message_id, idempotency_key="k")

    started = all_at_once([request] * 50)

    assert {type(each).__name__ for each in started} == {"TurnStarted"}
    assert {each.ref for each in started} == {started[0].ref}
    assert sum(not each.joined for each in started) == 1
    assert {read(each.ref)[-1]["message"]["content"] for each in started[:3]} == {"Hello"}
    assert len(script.requests) == 1
    assert UsageRecord.objects.count() == Hold.objects.count() == Turn.objects.count() == 1
    assert (
        Message.objects.count() - before == {"send": 2, "new": 2, "chat": 0, "regenerate": 1}[road]
    )
    if road == "new":
        assert Conversation.objects.count() == 2


@pytest.mark.row("T3")
@pytest.mark.parametrize("refusal", ["rate", "conflict", "model"])
def test_a_refusal_is_not_remembered(alice, conversation, script, settings, monkeypatch, refusal):
    """T3: the same request later runs."""
    gate = Gate()
    expected: type[AppError]
    match refusal:
        case "rate":
            monkeypatch.setitem(settings.RATES, "turns_user", [(0, 60)])
            expected = RateLimited
        case "conflict":
            script(gate, Finished("stop"))
            running = send_message(alice, conversation.id, content="First").ref
            expected = Conflict
        case "model":
            make_model("off", enabled=False)
            Conversation.objects.update(model="off")
            expected = ModelUnavailable

    with pytest.raises(expected):
        send_message(alice, conversation.id, content="Hi", idempotency_key="k")

    assert not IdempotencyRecord.objects.exists()
    match refusal:
        case "rate":
            monkeypatch.setitem(settings.RATES, "turns_user", [(10, 60)])
        case "conflict":
            gate.open()
            read(running)
        case "model":
            Conversation.objects.update(model="echo")
    answer(script)
    started = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    assert not started.joined
    assert read(started.ref)[-1]["message"]["content"] == "Hello"


@pytest.mark.row("T3")
def test_a_stopped_turn_is_remembered_as_it_ended(alice, conversation, script):
    """T3: everything after the turn exists is remembered."""
    gate = Gate()
    script(TextDelta("Half"), gate)
    started = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    request_stop(alice, started.ref.message_id)
    read(started.ref)

    again = send_message(alice, conversation.id, content="Hi", idempotency_key="k")

    assert again.joined
    assert read(again.ref)[-1]["message"]["status"] == "stopped"
    assert Turn.objects.count() == 1


@pytest.mark.row("T3")
def test_a_turn_whose_process_died_is_remembered(alice, conversation, not_launched):
    """T3: kill after commit, again: no second turn."""
    first = send_message(alice, conversation.id, content="Hi", idempotency_key="k")

    again = send_message(alice, conversation.id, content="Hi", idempotency_key="k")

    assert again.joined
    assert again.ref == first.ref
    assert len(not_launched) == 1


def test_after_a_day_the_key_begins_a_new_turn(alice, conversation, script):
    answer(script, times=2)
    first = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    read(first.ref)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))

    later = send_message(alice, conversation.id, content="Hi", idempotency_key="k")

    assert not later.joined
    assert later.ref.turn_id != first.ref.turn_id
    assert IdempotencyRecord.objects.get().turn_id == later.ref.turn_id
    read(later.ref)


def test_within_a_day_the_key_is_still_bound(alice, conversation, script):
    answer(script)
    first = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    read(first.ref)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))

    assert send_message(alice, conversation.id, content="Hi", idempotency_key="k").joined


def test_the_answer_of_a_deleted_conversation_is_not_found(alice, conversation, script):
    answer(script)
    read(send_message(alice, conversation.id, content="Hi", idempotency_key="k").ref)
    delete_conversation(alice, conversation.id)

    with pytest.raises(NotFound):
        send_message(alice, conversation.id, content="Hi", idempotency_key="k")


def test_without_a_key_nothing_is_remembered(alice, conversation, script):
    answer(script, times=2)
    first = send_message(alice, conversation.id, content="Hi")
    read(first.ref)
    second = send_message(alice, conversation.id, content="Hi")
    read(second.ref)

    assert first.ref.turn_id != second.ref.turn_id
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.row("G5")
def test_kept_answers_are_dropped_when_their_key_has_expired(alice, model, script, settings):
    """All that are old, however many; the turn itself stays."""
    settings.PURGE_ROWS_AT_ONCE = 2
    for number in range(6):
        answer(script)
        messages = [{"role": "user", "content": "Hi"}]
        read(chat_once(alice, messages=messages, idempotency_key=f"k{number}").ref)
    kept = IdempotencyRecord.objects.order_by("id").last()
    day_ago = timezone.now() - timedelta(seconds=settings.IDEMPOTENCY_SECONDS + 1)
    IdempotencyRecord.objects.exclude(pk=kept.pk).update(created_at=day_ago)

    purging.purge()

    assert list(IdempotencyRecord.objects.all()) == [kept]
    assert Turn.objects.count() == 6
