"""Limits of one's own, more for a time, and a fresh start."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import AuditAction, AuditEntry
from common.errors import Invalid, PermissionDenied
from quotas.errors import QuotaExceeded
from quotas.models import Boost, Payer, Plan, SubjectLimit
from quotas.services import granting, subjects
from quotas.services.windows import standings
from tests.chat.threads import all_at_once
from tests.quotas.rows import begin, end, limited, plan


@pytest.fixture(autouse=True)
def _no_standard_plan(_database):
    Plan.objects.all().delete()


@pytest.fixture
def alice(django_user_model):
    return django_user_model.objects.create_user("alice", "alice@example.com")


@pytest.fixture
def her(alice):
    return subjects.person(alice)


def left(user):
    found = standings(Payer(user.pk), at=timezone.now())
    return [max(0, each.amount - now.used - now.held) for each, now in found]


def test_a_limit_of_one_s_own_is_set_changed_and_taken_away(alice, her):
    plan("Default", ("tokens", "day", 7), is_default=True)

    for amount in (500, 500, 600):
        granting.set_limit(her, "tokens", "day", amount, actor=None)
    assert left(alice) == [600]
    granting.set_limit(her, "tokens", "day", None, actor=None)

    assert left(alice) == [7]
    told = [
        (each.before["limit"], each.after["limit"]) for each in AuditEntry.objects.order_by("id")
    ]
    assert told == [
        (None, "tokens/day=500"),
        ("tokens/day=500", "tokens/day=600"),
        ("tokens/day=600", None),
    ]


@pytest.mark.parametrize(
    ("metric", "period", "amount", "field"),
    [
        ("words", "day", 1, "metric"),
        ("tokens", "week", 1, "period"),
        ("tokens", "day", -1, "amount"),
        ("tokens", "day", 10**17 + 1, "amount"),
    ],
)
def test_what_is_no_limit_is_refused(her, metric, period, amount, field):
    for act in (
        lambda: granting.set_limit(her, metric, period, amount, actor=None),
        lambda: granting.grant(her, metric, amount, period=period, actor=None),
    ):
        with pytest.raises(Invalid) as refused:
            act()
        assert list(refused.value.errors) == [field]


def test_more_is_granted_for_a_time(alice, her):
    limited("user", alice.pk, "tokens", "day", 50)
    with pytest.raises(QuotaExceeded):
        begin(Payer(alice.pk))

    until = timezone.now() + timedelta(hours=1)
    granting.grant(her, "tokens", 60, until=until, reason="release", actor=None)

    begin(Payer(alice.pk))
    entry = AuditEntry.objects.get()
    assert entry.action == AuditAction.BOOST_GRANTED
    assert entry.after["boost"] == "tokens/*=60"
    assert "release" not in str(entry.after)


def test_nothing_is_granted_into_the_past(her):
    for until, field in (
        (timezone.now() - timedelta(seconds=1), "until"),
        (timezone.now().replace(year=2101), "until"),
    ):
        with pytest.raises(Invalid) as refused:
            granting.grant(her, "tokens", 5, until=until, actor=None)
        assert list(refused.value.errors) == [field]
    with pytest.raises(Invalid):
        granting.grant(her, "tokens", 0, actor=None)


def test_after_a_reset_the_whole_limit_is_there_again_and_no_more(alice, her):
    limited("user", alice.pk, "tokens", "day", 1_000)
    limited("user", alice.pk, "requests", "total", 5)
    for _ in range(2):
        end(begin(Payer(alice.pk)), 100, 200)
        granting.reset(her, actor=None)
        granting.reset(her, actor=None)

        assert left(alice) == [5, 1_000]

    lasting = {each.metric: each.ends_at for each in Boost.objects.all()}
    assert lasting["requests"] is None
    assert lasting["tokens"] > timezone.now()
    assert AuditEntry.objects.filter(action=AuditAction.LIMIT_RESET).count() == 4


def test_resets_at_once_forgive_what_was_used_once(alice, her):
    limited("user", alice.pk, "tokens", "day", 1_000)
    end(begin(Payer(alice.pk)), 100, 200)

    outcomes = all_at_once([lambda: granting.reset(her, actor=None)] * 6)

    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert left(alice) == [1_000]


def test_a_reset_reaches_one_metric_and_leaves_what_others_share(alice, her):
    alice.groups.add(Group.objects.get(name="member"))
    limited("user", alice.pk, "tokens", "day", 1_000)
    limited("user", alice.pk, "requests", "day", 10)
    limited("group", Group.objects.get(name="member").pk, "tokens", "day", 1_000)
    end(begin(Payer(alice.pk)), 100, 200)

    granting.reset(her, metric="tokens", actor=None)

    assert left(alice) == [9, 1_000, 700]


def test_what_a_role_shares_is_reset_for_all(alice):
    group = Group.objects.get(name="member")
    alice.groups.add(group)
    limited("group", group.pk, "tokens", "day", 1_000)
    end(begin(Payer(alice.pk)), 100, 200)

    granting.reset(subjects.role(group), actor=None)

    assert left(alice) == [1_000]


def test_who_lacks_the_permission_grants_nothing(alice, her):
    for act in (
        lambda: granting.set_limit(her, "tokens", "day", 5, actor=alice),
        lambda: granting.grant(her, "tokens", 5, actor=alice),
        lambda: granting.reset(her, actor=alice),
    ):
        with pytest.raises(PermissionDenied):
            act()

    assert not AuditEntry.objects.exists()
    assert not SubjectLimit.objects.exists()
