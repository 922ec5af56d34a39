"""Room is set aside, and settled exactly once with what was really used."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import IntegrityError
from django.utils import timezone

from models_registry.providers.base import Prices, Usage
from quotas.models import Hold, Payer, UsageRecord
from quotas.services.holds import Used, Wanted, cost_of, hold, holding, settle
from tests.chat.threads import all_at_once

PRICES = Prices(input=2_000_000_000, output=6_000_000_000, cached=500_000_000)


def held(turn_id=None):
    turn_id = turn_id or uuid4()
    wanted = Wanted(prompt_tokens=1_000, output_tokens=500, prices=PRICES)
    payer = Payer(uuid4(), key_id=uuid4(), attribution="theirs")
    holding(lambda: hold(turn_id=turn_id, payer=payer, wanted=wanted, started_at=timezone.now()))
    return Hold.objects.get(turn_id=turn_id)


def used(turn_id, **fields):
    values = Used(
        turn_id=turn_id,
        purpose="message",
        model="asked",
        answered_by="answered",
        outcome="complete",
        usage=Usage(1_000, 500, cached_tokens=400, reasoning_tokens=100),
        estimated=False,
        prices=PRICES,
        seconds=1.5,
        first_token_seconds=0.2,
    )
    return replace(values, **fields)


def test_a_hold_is_the_prompt_and_the_answer_with_their_price():
    made = held()

    assert (made.status, made.tokens) == (Hold.Status.OPEN, 1_500)
    assert made.cost == 2_000_000 + 3_000_000


def test_one_turn_has_one_hold():
    turn_id = uuid4()
    held(turn_id)

    with pytest.raises(IntegrityError):
        held(turn_id)


def test_settling_closes_the_hold_and_writes_the_ledger_with_frozen_prices():
    made = held()
    what = used(made.turn_id)

    assert settle(what)

    made.refresh_from_db()
    assert made.status == Hold.Status.SETTLED
    assert made.settled_at is not None
    record = UsageRecord.objects.get()
    assert record.turn_id == made.turn_id
    assert (record.user_id, record.key_id) == (made.user_id, made.key_id)
    assert record.attribution == made.attribution == "theirs"
    assert (record.model, record.answered_by, record.outcome) == ("asked", "answered", "complete")
    assert (record.prompt_tokens, record.completion_tokens) == (1_000, 500)
    assert (record.cached_tokens, record.reasoning_tokens) == (400, 100)
    assert (record.input_price, record.output_price) == (PRICES.input, PRICES.output)
    assert record.cost == cost_of(what.usage, PRICES) == 600 * 2_000 + 400 * 500 + 500 * 6_000
    assert record.started_at == made.started_at


def test_settling_again_changes_nothing():
    made = held()
    settle(used(made.turn_id))

    assert not settle(used(made.turn_id, outcome="failed", usage=Usage(9, 9)))

    assert UsageRecord.objects.get().outcome == "complete"


def test_what_was_never_held_is_not_settled():
    assert not settle(used(uuid4()))

    assert not UsageRecord.objects.exists()


def test_of_many_who_settle_at_once_one_does():
    """T5, promise 2: every hold is settled exactly once."""
    made = held()

    outcomes = all_at_once([lambda: settle(used(made.turn_id))] * 12)

    assert sorted(outcomes) == [False] * 11 + [True]
    assert UsageRecord.objects.count() == 1


@pytest.mark.parametrize(
    ("usage", "prices", "cost"),
    [
        (Usage(0, 0), PRICES, 0),
        (Usage(1, 0), Prices(input=1), 0),
        (Usage(1, 1), Prices(input=499_999, output=1), 0),
        (Usage(1, 1), Prices(input=500_000, output=1), 1),
        # Half even, of the sum: one and a half, and two and a half.
        (Usage(3, 0), Prices(input=500_000), 2),
        (Usage(5, 0), Prices(input=500_000), 2),
        # Cached tokens are part of the prompt and have their own price.
        (Usage(1_000_000, 0, cached_tokens=1_000_000), PRICES, 500_000_000),
        (Usage(1_000_000, 0, cached_tokens=250_000), PRICES, 1_625_000_000),
        # Reasoning is part of the completion.
        (Usage(0, 1_000_000, reasoning_tokens=900_000), PRICES, 6_000_000_000),
        (Usage(10**12, 10**12), PRICES, 8 * 10**15),
    ],
)
def test_cost_is_an_integer_rounded_once(usage, prices, cost):
    assert cost_of(usage, prices) == cost


def test_rows_say_what_they_are():
    made = held()
    settle(used(made.turn_id))

    assert str(made) == f"{made.turn_id} open"
    assert str(UsageRecord.objects.get()) == f"{made.turn_id} asked"
