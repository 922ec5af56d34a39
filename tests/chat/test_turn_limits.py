"""How many turns a person may begin, and run at once (E5, R3)."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import pytest

from chat.models import Conversation, Message, Turn
from chat.services.turn_requests import chat_once, send_message
from chat.turns import prepare
from chat.turns.places import Places
from chat.turns.runner import runner
from common.errors import AppError, RateLimited
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold
from tests.chat.conftest import Gate, read
from tests.waiting import until


def begin(alice, model, script):
    gate = Gate()
    script(gate, TextDelta("Hello"), Finished("stop"))
    conversation = Conversation.objects.create(owner=alice.user, model=model.name)
    return send_message(alice, conversation.id, content="Hi").ref, gate


@pytest.mark.row("E5")
def test_one_more_than_may_run_at_once_is_refused_and_leaves_nothing(
    alice, model, script, settings
):
    """E5: rate_limited before the first byte."""
    settings.RUNNING_TURNS_PER_USER = 3
    running = [begin(alice, model, script) for _ in range(3)]
    one_more = Conversation.objects.create(owner=alice.user, model=model.name)

    with pytest.raises(RateLimited) as refusal:
        send_message(alice, one_more.id, content="Hi")

    assert refusal.value.retry_after
    assert not one_more.messages.exists()
    one_more.refresh_from_db()
    assert (one_more.last_position, one_more.message_count) == (0, 0)
    assert Turn.objects.count() == Hold.objects.count() == 3
    for ref, gate in running:
        gate.open()
        read(ref)
    until(lambda: not runner.turns, "they ended")
    script(TextDelta("Now"), Finished("stop"))
    assert read(send_message(alice, one_more.id, content="Hi").ref)[-1]["message"]


def test_a_turn_may_end_while_another_thread_counts():
    """One counts in a request's thread, the other ends on the loop."""
    places, ended, taken = Places(), uuid4(), uuid4()

    class Counted(UUID):
        def __eq__(self, other):
            ending = threading.Thread(target=places.give_back, args=(ended,))
            ending.start()
            ending.join(0.2)
            return super().__eq__(other)

        __hash__ = UUID.__hash__

    places.take(ended, Counted(int=1), of=1_000, most=50)
    places.take(uuid4(), UUID(int=2), of=1_000, most=50)

    assert places.take(taken, UUID(int=1), of=1_000, most=50)


def test_a_place_is_given_back_once_its_turn_has_ended():
    places, person, turn = Places(), uuid4(), uuid4()

    assert places.take(turn, person, of=1_000, most=1)
    assert not places.take(uuid4(), person, of=1_000, most=1)
    places.give_back(turn)

    assert places.take(uuid4(), person, of=1_000, most=1)


def taken_by(places, person, of=100):
    """How many places somebody gets who takes all they can."""
    return next(
        number for number in range(of + 1) if not places.take(uuid4(), person, most=of, of=of)
    )


@pytest.mark.row("R6")
def test_whoever_takes_all_places_they_can_leaves_room_for_others():
    """R6: above 80 % each has a share."""
    places, first, second = Places(), uuid4(), uuid4()

    assert taken_by(places, first) == 80
    assert taken_by(places, second) == 20
    assert taken_by(places, uuid4()) == 0


def test_the_last_places_are_shared_by_all_who_are_there():
    places = Places()
    people = [uuid4() for _ in range(4)]
    for person in people:
        for _turn in range(20):
            assert places.take(uuid4(), person, most=100, of=100)

    assert [taken_by(places, person) for person in people] == [0, 0, 0, 0]
    assert taken_by(places, uuid4()) == 16


@pytest.mark.row("R6")
def test_who_is_over_their_share_is_told_to_wait_and_somebody_else_begins(
    alice, charlie, model, script, settings, monkeypatch
):
    """R6, with what is refused leaving nothing."""
    monkeypatch.setattr(runner, "_places", Places())  # others' turns may still be ending
    settings.TURN_SLOTS = 5
    running = [begin(alice, model, script) for _ in range(4)]

    with pytest.raises(RateLimited):
        begin(alice, model, script)
    script.scripts.clear()
    running.append(begin(charlie, model, script))

    assert Turn.objects.count() == Hold.objects.count() == 5
    for ref, gate in running:
        gate.open()
        read(ref)


def test_stateless_turns_count_too(alice, model, script, settings):
    settings.RUNNING_TURNS_PER_USER = 1
    ref, gate = begin(alice, model, script)

    with pytest.raises(RateLimited):
        chat_once(alice, messages=[{"role": "user", "content": "Hi"}])

    gate.open()
    read(ref)


def test_other_people_s_turns_do_not_count(alice, charlie, model, script, settings):
    settings.RUNNING_TURNS_PER_USER = 1
    ref, gate = begin(alice, model, script)

    theirs, their_gate = begin(charlie, model, script)

    for each in (gate, their_gate):
        each.open()
    assert read(ref)[-1]["message"]["status"] == read(theirs)[-1]["message"]["status"]


def test_where_a_plan_refuses_too_the_plan_is_named(
    alice, conversation, script, settings, monkeypatch
):
    """The hold comes first."""

    class QuotaExceeded(AppError):
        pass

    def refuse(**_fields):
        raise QuotaExceeded

    settings.RUNNING_TURNS_PER_USER = 0
    monkeypatch.setattr(prepare, "hold", refuse)

    with pytest.raises(QuotaExceeded):
        send_message(alice, conversation.id, content="Hi")

    assert not Message.objects.exists()


@pytest.mark.row("R3")
def test_turns_a_minute_are_limited_over_all_ways_to_begin_one(
    alice, conversation, script, settings, monkeypatch
):
    monkeypatch.setitem(settings.RATES, "turns_user", [(2, 60)])
    script(Finished("stop"))
    read(send_message(alice, conversation.id, content="Hi").ref)
    script(Finished("stop"))
    read(chat_once(alice, messages=[{"role": "user", "content": "Hi"}]).ref)

    with pytest.raises(RateLimited) as refusal:
        send_message(alice, conversation.id, content="Hi")

    assert 0 < (refusal.value.retry_after or 0) <= 60
    assert Turn.objects.count() == 2


def test_a_repeated_key_costs_no_turn(alice, conversation, script, settings, monkeypatch):
    monkeypatch.setitem(settings.RATES, "turns_user", [(1, 60)])
    script(TextDelta("Hello"), Finished("stop"))
    first = send_message(alice, conversation.id, content="Hi", idempotency_key="k")
    read(first.ref)

    assert send_message(alice, conversation.id, content="Hi", idempotency_key="k").joined
