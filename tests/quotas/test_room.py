"""A turn begins where every limit that applies has room, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from common.errors import RateLimited
from quotas.errors import QuotaExceeded
from quotas.models import AMOUNT_AT_MOST, Boost, Hold, Kind, Payer, Plan, UsageRecord, Window
from quotas.services import books
from quotas.services.holds import Wanted, release
from quotas.services.windows import standings
from tests.chat.threads import all_at_once
from tests.quotas.rows import PRICES, ROOMY, assign, begin, end, limited, plan, window

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_standard_plan(_database):
    Plan.objects.all().delete()


@pytest.fixture
def person(django_user_model):
    return django_user_model.objects.create_user("alice", "alice@example.com")


@pytest.fixture
def alice(person):
    return Payer(person.pk)


def test_what_is_held_is_given_back_and_what_was_used_is_counted(alice):
    limited("user", alice.user_id, "tokens", "day", 1_000)
    turn = begin(alice)
    assert (window().used, window().held) == (0, 100)

    end(turn, 10, 20)

    assert (window().used, window().held) == (30, 0)


def test_a_refusal_names_the_limit_its_use_and_when_it_resets(alice):
    limited("user", alice.user_id, "tokens", "day", 250)
    end(begin(alice, at=NOON), 100, 60)

    with pytest.raises(QuotaExceeded) as refused:
        begin(alice, at=NOON)

    assert refused.value.extra["limit"] == {
        "subject": "user",
        "metric": "tokens",
        "period": "day",
        "limit": 250,
        "used": 160,
        "resets_at": "2026-11-22T00:00:00Z",
    }
    assert refused.value.retry_after >= 1
    assert not Hold.objects.filter(status="open").exists()


def test_cost_is_told_as_money(alice):
    limited("user", alice.user_id, "cost", "month", 50)

    with pytest.raises(QuotaExceeded) as refused:
        begin(alice, Wanted(10, 90, PRICES))

    assert refused.value.extra["limit"]["limit"] == "0.000000"
    assert refused.value.extra["limit"]["metric"] == "cost"


def test_a_limit_by_the_minute_refuses_as_a_rate(alice):
    limited("user", alice.user_id, "requests", "minute", 1)
    begin(alice)

    with pytest.raises(RateLimited) as refused:
        begin(alice)

    assert refused.value.code == "rate_limited"
    assert refused.value.extra["limit"]["period"] == "minute"
    assert 0 < refused.value.retry_after <= 60


def test_all_that_apply_must_have_room_and_nothing_stays_held_in_the_others(alice, person):
    staff = Group.objects.get(name="member")
    person.groups.add(staff)
    limited("user", alice.user_id, "tokens", "day", 1_000)
    limited("group", staff.pk, "tokens", "day", 150)
    limited("deployment", "", "requests", "total", 10)
    begin(alice)

    with pytest.raises(QuotaExceeded) as refused:
        begin(alice)

    assert refused.value.extra["limit"]["subject"] == "group"
    assert [each.held for each in Window.objects.order_by("kind")] == [1, 100, 100]


def test_a_role_s_limit_is_a_pool_that_its_people_share(django_user_model, alice, person):
    staff = Group.objects.get(name="member")
    other = django_user_model.objects.create_user("bob", "bob@example.com")
    person.groups.add(staff)
    other.groups.add(staff)
    limited("group", staff.pk, "requests", "day", 2)
    begin(alice)
    begin(Payer(other.pk))

    with pytest.raises(QuotaExceeded):
        begin(alice)


def test_a_key_has_limits_of_its_own_beside_its_owner_s(alice):
    key = uuid4()
    limited("key", key, "requests", "day", 1)
    begin(Payer(alice.user_id, key_id=key))

    with pytest.raises(QuotaExceeded) as refused:
        begin(Payer(alice.user_id, key_id=key))
    begin(alice)

    assert refused.value.extra["limit"]["subject"] == "key"


@pytest.mark.parametrize(
    ("sources", "amount"),
    [
        ({"default"}, 1),
        ({"default", "role"}, 2),
        ({"default", "role", "roomier role"}, 3),
        ({"default", "role", "own plan"}, 4),
        ({"default", "role", "own plan", "own limit"}, 5),
    ],
)
def test_one_s_own_limit_goes_before_one_s_plan_the_roles_plans_and_the_default(
    alice, person, sources, amount
):
    for name in ("agent", "member"):
        person.groups.add(Group.objects.get(name=name))
    if "default" in sources:
        plan("Default", ("requests", "day", 1), is_default=True)
    if "role" in sources:
        assign("group", Group.objects.get(name="member").pk, plan("M", ("requests", "day", 2)))
    if "roomier role" in sources:
        assign("group", Group.objects.get(name="agent").pk, plan("A", ("requests", "day", 3)))
    if "own plan" in sources:
        assign("user", alice.user_id, plan("VIP", ("requests", "day", 4)))
    if "own limit" in sources:
        limited("user", alice.user_id, "requests", "day", 5)

    found = standings(alice, at=timezone.now())
    assert [(limit.kind, limit.amount) for limit, _standing in found] == [("user", amount)]


def test_a_plan_without_limits_is_without_end(alice):
    plan("Default", ("requests", "day", 0), is_default=True)
    assign("user", alice.user_id, plan("VIP"))

    assert standings(alice, at=timezone.now()) == []
    begin(alice)


def test_a_limit_that_one_of_two_roles_plans_does_not_have_does_not_apply(alice, person):
    for name, its in (("agent", plan("A")), ("member", plan("M", ("requests", "day", 0)))):
        group = Group.objects.get(name=name)
        person.groups.add(group)
        assign("group", group.pk, its)

    begin(alice)


def test_a_limit_of_nothing_lets_nothing_through(alice):
    limited("user", alice.user_id, "requests", "total", 0)

    with pytest.raises(QuotaExceeded) as refused:
        begin(alice)

    assert refused.value.extra["limit"]["resets_at"] is None
    assert refused.value.retry_after > 0


def boost(alice, amount, **fields):
    values = {"metric": "tokens", "starts_at": NOON - timedelta(hours=1)} | fields
    Boost.objects.create(kind="user", subject_id=str(alice.user_id), amount=amount, **values)


def test_a_boost_counts_on_top_while_it_lasts(alice):
    limited("user", alice.user_id, "tokens", "day", 50)
    boost(alice, 60, ends_at=NOON + timedelta(hours=1))

    begin(alice, at=NOON)
    for moment in (NOON - timedelta(hours=2), NOON + timedelta(hours=1)):
        with pytest.raises(QuotaExceeded):
            begin(alice, at=moment)


@pytest.mark.parametrize(
    ("period", "boosted", "has_room"),
    [("day", "", True), ("month", "", True), ("minute", "", False), ("day", "month", False)],
)
def test_a_boost_raises_the_limits_of_its_period_or_all_but_the_minute_s(
    alice, period, boosted, has_room
):
    limited("user", alice.user_id, "tokens", period, 50)
    boost(alice, 60, period=boosted)

    if has_room:
        begin(alice, at=NOON)
    else:
        with pytest.raises((QuotaExceeded, RateLimited)):
            begin(alice, at=NOON)


def test_boosts_beyond_what_a_database_can_compare_with_hold_nobody_up(alice):
    limited("user", alice.user_id, "tokens", "day", AMOUNT_AT_MOST)
    for _number in range(100):
        boost(alice, AMOUNT_AT_MOST)

    begin(alice)

    assert window().held == 100


def test_a_boost_makes_no_limit(alice):
    boost(alice, 60)

    begin(alice, at=NOON)

    assert not Window.objects.exists()


def test_a_turn_belongs_to_the_windows_it_began_in(alice):
    limited("user", alice.user_id, "tokens", "day", 1_000)
    before_midnight = begin(alice, at=NOON.replace(hour=23, minute=59))
    begin(alice, at=NOON + timedelta(days=1))

    end(before_midnight, 10, 20)

    counted = [(each.used, each.held) for each in Window.objects.order_by("start")]
    assert counted == [(30, 0), (0, 100)]


def test_use_may_pass_the_hold_and_is_charged_truly(alice):
    limited("user", alice.user_id, "tokens", "day", 100)

    end(begin(alice), 10, 5_000)

    assert window().used == 5_010
    with pytest.raises(QuotaExceeded):
        begin(alice)


def test_a_limit_that_comes_later_starts_with_what_the_ledger_says(alice):
    limited("user", alice.user_id, "requests", "day", 100)
    end(begin(alice), 10, 20)
    running = begin(alice)
    for metric in ("tokens", "cost"):
        limited("user", alice.user_id, metric, "day", 1_000)

    begin(alice)

    assert window(metric="tokens").used == window(metric="cost").used == 30
    end(running, 100, 1)
    assert window(metric="tokens").used == window(metric="cost").used == 131
    assert window(metric="tokens").held == window(metric="cost").held == 100
    assert list(books.audit()) == []


def test_a_hold_that_is_given_back_uses_nothing(alice):
    limited("user", alice.user_id, "requests", "day", 1)
    turn = begin(alice)

    assert release(turn)
    assert not release(turn)

    assert (window().used, window().held) == (0, 0)
    assert not UsageRecord.objects.exists()
    begin(alice)


def test_what_the_deployment_does_by_itself_counts_against_the_deployment_alone(alice):
    limited("user", alice.user_id, "requests", "day", 5)
    limited("deployment", "", "requests", "day", 5)

    end(begin(Payer()))

    assert [each.kind for each in Window.objects.all()] == [Kind.DEPLOYMENT]


@pytest.mark.row("R1")
def test_of_many_at_once_exactly_as_many_pass_as_have_room(alice):
    """R1, promise 2; the first of them make the window, all at once."""
    limited("user", alice.user_id, "requests", "day", 5)
    limited("deployment", "", "tokens", "month", 100_000)

    outcomes = all_at_once([lambda: begin(alice)] * 24)

    passed = [each for each in outcomes if not isinstance(each, Exception)]
    refused = [each for each in outcomes if isinstance(each, QuotaExceeded)]
    assert (len(passed), len(refused)) == (5, 19), outcomes
    assert window(kind="user").held == 5
    assert list(books.audit()) == []


@pytest.mark.row("T8")
def test_many_who_begin_and_end_at_once_leave_the_books_right(django_user_model, alice):
    """In every window that they share, made meanwhile or not."""
    limited("deployment", "", "tokens", "total", 10**9)
    limited("deployment", "", "requests", "day", 10**6)
    payers = [alice, Payer(uuid4()), Payer(uuid4(), key_id=uuid4()), Payer()]
    for payer in payers[:3]:
        limited("user", payer.user_id, "cost", "minute", 10**9)

    def live(number):
        payer = payers[number % 4]
        for step in range(6):
            turn = begin(payer)
            if number == 0 and step == 3:
                limited("deployment", "", "cost", "month", 10**9)
            end(turn, 10 + number, 20 + step)

    outcomes = all_at_once([partial(live, number) for number in range(8)])

    assert outcomes == [None] * 8
    assert list(books.audit()) == []
    assert window("deployment", metric="requests").used == 48
    assert window("deployment", metric="cost").used == 8 * 6 * 30 + sum(range(8)) * 6 + 8 * 15
    assert set(Window.objects.values_list("held", flat=True)) == {0}


def test_an_audit_finds_what_is_wrong_and_puts_it_right(alice):
    limited("user", alice.user_id, "tokens", "day", 1_000)
    end(begin(alice), 10, 20)
    begin(alice)
    Window.objects.update(used=31, held=7)

    found = list(books.audit())
    assert [(each.counted.used, each.true.used) for each in found] == [(31, 30)]
    assert [(each.counted.held, each.true.held) for each in found] == [(7, 100)]

    assert len(list(books.audit(repair=True))) == 1
    assert list(books.audit()) == []
    assert (window().used, window().held) == (30, 100)


@pytest.mark.row("F17")
def test_a_time_zone_that_was_changed_under_a_turn_leaves_nothing_held(alice, settings):
    """F17."""
    limited("user", alice.user_id, "tokens", "day", 1_000)
    turn = begin(alice, at=NOON)
    settings.TIME_ZONE = "Asia/Shanghai"

    end(turn, 10, 20)

    assert (window().used, window().held) == (30, 0)


@pytest.mark.parametrize(
    ("metric", "amount", "most", "bound"),
    [
        ("tokens", 60, None, 50),
        ("tokens", 60, 30, 30),
        ("tokens", 10_000, 500, 500),
        ("cost", 40, 500, 30),
        ("requests", 5, 500, None),
    ],
)
def test_hard_limits_cap_the_answer_to_the_room(alice, monkeypatch, metric, amount, most, bound):
    monkeypatch.setattr("quotas.services.holds.config", HardLimits)
    limited("user", alice.user_id, metric, "day", amount)
    wanted = Wanted(10, 90, PRICES, most_output_tokens=most)
    bounds = []

    from quotas.services.holds import hold, holding  # noqa: PLC0415 the patched one

    def ask():
        bounds.append(hold(turn_id=uuid4(), payer=alice, wanted=wanted, started_at=timezone.now()))

    holding(ask)

    assert bounds == [bound]
    assert Hold.objects.get().tokens == 10 + (bound or 90)


def test_hard_limits_refuse_where_not_one_token_has_room(alice, monkeypatch):
    monkeypatch.setattr("quotas.services.holds.config", HardLimits)
    limited("user", alice.user_id, "tokens", "day", 10)

    with pytest.raises(QuotaExceeded):
        begin(alice, ROOMY)


class HardLimits:
    hard_limits = True
