"""A turn is charged by what its model cost when it began, and stays so."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from chat.services.turn_requests import send_message
from models_registry.models import Price
from models_registry.providers.base import Finished, TextDelta, Usage
from models_registry.services.prices import set_price
from quotas.models import UsageRecord
from tests.chat.conftest import Gate, read

OLD, NEW = Price(2_000_000_000, 6_000_000_000, None), Price(4_000_000_000, 8_000_000_000, 1)
USED = Usage(100, 50, cached_tokens=40)


def from_now_on(model, price=NEW):
    set_price(model, price, starts_at=timezone.now(), actor=None)


def ask(alice, conversation, script):
    script(TextDelta("Hello"), Finished("stop", USED))
    read(send_message(alice, conversation.id, content="Hi").ref)
    return UsageRecord.objects.latest("id")


def charged(record):
    return record.input_price, record.output_price, record.cached_price


def test_a_turn_before_the_date_and_one_after_it(alice, conversation, script, model):
    set_price(model, NEW, starts_at=timezone.now() + timedelta(days=1), actor=None)

    before = ask(alice, conversation, script)
    from_now_on(model)
    after = ask(alice, conversation, script)

    before.refresh_from_db()
    assert charged(before) == (OLD.input_price, OLD.output_price, OLD.input_price)
    assert charged(after) == (NEW.input_price, NEW.output_price, 1)
    assert before.cost == 100 * 2_000 + 50 * 6_000
    assert after.cost == 60 * 4_000 + 50 * 8_000


def test_a_turn_that_runs_over_the_date_is_charged_as_it_began(alice, conversation, script, model):
    gate = Gate()
    script(TextDelta("Hel"), gate, TextDelta("lo"), Finished("stop", USED))
    ref = send_message(alice, conversation.id, content="Hi").ref

    from_now_on(model)
    gate.open()
    read(ref)

    assert charged(UsageRecord.objects.get())[:2] == (OLD.input_price, OLD.output_price)
