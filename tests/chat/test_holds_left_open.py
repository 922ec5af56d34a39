"""A hold that outlived its turn is settled by the turn's row, once (T5, promise 2)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from chat import tasks
from chat.models import Message, Turn
from chat.services.turn_requests import chat_once, send_message
from models_registry.providers.base import Prices, Usage
from quotas.models import Hold, UsageRecord
from quotas.services.holds import cost_of
from tests.chat.threads import all_at_once

pytestmark = pytest.mark.django_db(transaction=True)

PRICES = Prices(input=2_000_000_000, output=6_000_000_000)


def grow_old(seconds=None):
    age = timedelta(seconds=settings.HOLD_SWEEP_SECONDS + 1 if seconds is None else seconds)
    Hold.objects.update(created_at=timezone.now() - age)


@pytest.fixture
def left(alice, conversation, not_launched):
    """A turn that ended, as its rows say, while its hold stayed open."""
    ref = send_message(alice, conversation.id, content="Hi").ref
    Turn.objects.update(status="complete", answering=0, ended_at=timezone.now())
    Message.objects.filter(pk=ref.message_id).update(prompt_tokens=70, completion_tokens=30)
    return ref


def test_it_is_settled_by_what_the_message_used(left):
    grow_old()

    tasks.settle_holds()

    assert Hold.objects.get().status == Hold.Status.SETTLED
    record = UsageRecord.objects.get()
    assert (record.turn_id, record.outcome, record.answered_by) == (
        left.turn_id,
        "complete",
        "echo",
    )
    assert (record.prompt_tokens, record.completion_tokens, record.estimated) == (70, 30, False)
    assert record.cost == cost_of(Usage(70, 30), PRICES)
    assert record.user_id == Hold.objects.get().user_id


def test_a_turn_without_a_message_is_settled_by_estimate(alice, model, not_launched):
    chat_once(alice, messages=[{"role": "user", "content": "Hi"}])
    Turn.objects.update(status="interrupted", characters=300, prompt_estimate=9)
    grow_old()

    tasks.settle_holds()

    record = UsageRecord.objects.get()
    assert (record.prompt_tokens, record.completion_tokens, record.estimated) == (9, 100, True)


def test_a_young_hold_and_that_of_a_running_turn_are_left_alone(left, alice, model):
    grow_old(settings.HOLD_SWEEP_SECONDS - 60)
    tasks.settle_holds()
    assert Hold.objects.get().status == Hold.Status.OPEN

    Turn.objects.update(status="running")
    grow_old()
    tasks.settle_holds()

    assert Hold.objects.get().status == Hold.Status.OPEN
    assert not UsageRecord.objects.exists()


def test_the_hold_of_a_turn_that_is_gone_is_given_back(left):
    Turn.objects.all().delete()
    grow_old()

    tasks.settle_holds()

    assert Hold.objects.get().status == Hold.Status.SETTLED
    assert not UsageRecord.objects.exists()


@pytest.mark.row("T7")
def test_sweeps_at_once_settle_once(left):
    """T7: a job may run twice."""
    grow_old()

    outcomes = all_at_once([tasks.settle_holds] * 4)

    assert outcomes == [None] * 4
    assert UsageRecord.objects.count() == 1
