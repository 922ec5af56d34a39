"""Windows are made when they are first asked for; whoever asks meanwhile loses nothing by it."""

from __future__ import annotations

from itertools import islice
from uuid import uuid4

import pytest
from django.utils import timezone

from common.db import write_transaction
from common.errors import Unavailable
from quotas.models import Payer, Plan, Window
from quotas.services import windows
from quotas.services.holds import hold
from tests.quotas.rows import ROOMY, begin, limited, window


@pytest.fixture(autouse=True)
def _no_standard_plan(_database):
    Plan.objects.all().delete()


@pytest.fixture
def alice(django_user_model):
    user = django_user_model.objects.create_user("alice", "alice@example.com")
    limited("user", user.pk, "requests", "day", 5)
    return Payer(user.pk)


def test_limits_that_are_set_while_a_turn_begins_count_for_it(alice, monkeypatch):
    """Their windows are missing when those that were missing before have been made."""
    meanwhile = iter([("tokens", "month"), ("tokens", "total"), ("cost", "day")])
    make = windows.make

    def made(limits, *, at):
        make(limits, at=at)
        for metric, period in islice(meanwhile, 1):
            limited("user", alice.user_id, metric, period, 1_000)

    monkeypatch.setattr(windows, "make", made)

    begin(alice)

    assert Window.objects.filter(held__gt=0).count() == 4


def test_who_finds_windows_missing_again_and_again_is_told_to_come_back(alice, monkeypatch):
    monkeypatch.setattr(windows, "make", lambda _limits, *, at: None)

    with pytest.raises(Unavailable):
        begin(alice)


def test_a_window_that_somebody_else_makes_meanwhile_refuses_nobody(alice, monkeypatch):
    """R1: between looking for room in it and asking how full it is."""
    standing_of = windows.standing_of

    def made_by_now(limit, *, at):
        windows.make([limit], at=at)
        return standing_of(limit, at=at)

    monkeypatch.setattr(windows, "standing_of", made_by_now)

    with write_transaction():
        hold(turn_id=uuid4(), payer=alice, wanted=ROOMY, started_at=timezone.now())

    assert (window().used, window().held) == (0, 1)
