"""Plans are made, changed, given and taken back; exactly one of them is the default."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import AuditAction, AuditEntry
from common.errors import Conflict, Invalid, NotFound, PermissionDenied
from quotas.models import AMOUNT_AT_MOST, Payer, Plan
from quotas.services import plans
from quotas.services.amounts import Allowance, amount_in, amount_of
from quotas.services.windows import standings
from tests.chat.threads import all_at_once
from tests.quotas.rows import limited

DAILY = Allowance("tokens", "day", 500)


@pytest.fixture
def alice(django_user_model):
    return django_user_model.objects.create_user("alice", "alice@example.com")


@pytest.fixture
def boss(django_user_model):
    its = {"is_superuser": True, "is_staff": True}
    return django_user_model.objects.create_user("boss", "boss@example.com", **its)


def limits_of(user):
    found = standings(Payer(user.pk), at=timezone.now())
    return [(each.metric, each.period, each.amount) for each, _standing in found]


def default():
    return Plan.objects.get(is_default=True).name


def acts():
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_a_plan_is_everybody_s_once_it_is_the_default(alice, boss):
    made = plans.create(actor=boss, name="Small", is_default=True, limits=[DAILY])

    assert default() == "Small"
    assert limits_of(alice) == [DAILY]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_id) == (AuditAction.PLAN_CREATED, boss.pk)
    assert (entry.target_id, entry.target_label) == (str(made.pk), "Small")
    assert entry.after["limits"] == ["tokens/day=500"]


def test_one_plan_is_the_default_whatever_is_done(boss):
    standard = Plan.objects.get()
    small = plans.create(actor=boss, name="Small")

    with pytest.raises(Conflict):
        plans.change(standard, actor=boss, is_default=False)
    with pytest.raises(Conflict):
        plans.delete(standard, actor=boss)
    plans.change(small, actor=boss, is_default=True)
    plans.delete(standard, actor=boss)

    assert default() == "Small"
    with pytest.raises(NotFound):
        plans.change(standard, actor=boss, name="Again")


@pytest.mark.parametrize("name", ["none", " none ", "", "  ", "two\nlines", "x" * 81, "Standard"])
def test_a_name_that_cannot_be_told_apart_is_refused_by_every_door(boss, name):
    small = plans.create(actor=boss, name="Small")

    with pytest.raises(Invalid):
        plans.create(actor=boss, name=name)
    with pytest.raises(Invalid):
        plans.change(small, actor=boss, name=name)

    assert sorted(Plan.objects.values_list("name", flat=True)) == ["Small", "Standard"]


def test_the_first_plan_is_the_default(boss):
    Plan.objects.all().delete()

    plans.create(actor=boss, name="Only")

    assert default() == "Only"


def test_of_many_new_defaults_at_once_none_is_refused():
    new = [
        partial(plans.create, actor=None, name=f"P{number}", is_default=True) for number in range(6)
    ]

    outcomes = all_at_once(new)

    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert Plan.objects.filter(is_default=True).count() == 1


def test_of_many_made_the_default_at_once_one_is():
    made = [plans.create(actor=None, name=f"P{number}") for number in range(6)]

    outcomes = all_at_once(
        [partial(plans.change, plan, actor=None, is_default=True) for plan in made]
    )

    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert Plan.objects.filter(is_default=True).count() == 1


def test_the_limits_of_a_plan_are_replaced_as_a_whole(alice, boss):
    standard = Plan.objects.get()

    plans.change(standard, actor=boss, limits=[DAILY, Allowance("requests", "minute", 5)])
    assert limits_of(alice) == [("requests", "minute", 5), DAILY]
    plans.change(standard, actor=boss, name="Plain")
    assert limits_of(alice) == [("requests", "minute", 5), DAILY]
    plans.change(standard, actor=boss, limits=[])

    assert limits_of(alice) == []
    assert acts() == [AuditAction.PLAN_CHANGED] * 3


def test_a_plan_of_that_name_is_made_once(boss):
    for name in ("Standard", Plan.objects.get().name):
        with pytest.raises(Invalid) as refused:
            plans.create(actor=boss, name=name)
        assert list(refused.value.errors) == ["name"]


@pytest.mark.parametrize(
    "limits",
    [
        [Allowance("words", "day", 1)],
        [Allowance("tokens", "week", 1)],
        [Allowance("tokens", "day", -1)],
        [Allowance("tokens", "day", AMOUNT_AT_MOST + 1)],
        [DAILY, DAILY],
    ],
)
def test_what_is_no_limit_is_refused(boss, limits):
    with pytest.raises(Invalid) as refused:
        plans.create(actor=boss, name="Wrong", limits=limits)

    assert list(refused.value.errors) == ["limits"]
    assert not Plan.objects.filter(name="Wrong").exists()


@pytest.mark.parametrize(
    ("metric", "given", "amount"),
    [
        ("cost", "12.50", 12_500_000_000),
        ("cost", 0.1, 100_000_000),
        ("cost", 3, 3_000_000_000),
        ("cost", "100000000", AMOUNT_AT_MOST),
        ("tokens", 0, 0),
        ("requests", 10**17, AMOUNT_AT_MOST),
    ],
)
def test_amounts_are_read(metric, given, amount):
    assert amount_of(metric, given) == amount


NO_MONEY: list[Any] = [
    *("0.1234567", "", "ten", "-1", "NaN", "Infinity", "1e99", "1e-999999999", "9" * 50),
    *("1_0", " 5", "5 ", "٣", "\uff15", 1e-7, -0.5, True, None, []),
]
NO_NUMBERS: list[Any] = [1.5, "5", True, -1, None, AMOUNT_AT_MOST + 1]


@pytest.mark.parametrize(
    ("metric", "given"),
    [("cost", wrong) for wrong in NO_MONEY] + [("tokens", wrong) for wrong in NO_NUMBERS],
)
def test_what_is_no_amount_is_refused(metric, given):
    with pytest.raises(Invalid) as refused:
        amount_of(metric, given)

    assert list(refused.value.errors) == ["limit"]


@pytest.mark.parametrize("given", ["-1", "1.5", "5x", "٣", "1" * 30, ""])
def test_a_command_line_takes_whole_numbers_of_tokens(given):
    assert amount_in("tokens", "500000") == 500_000
    with pytest.raises(Invalid):
        amount_in("tokens", given)


def test_a_person_s_own_plan_counts_until_it_is_taken_back(alice, boss):
    vip = plans.create(actor=boss, name="VIP", limits=[DAILY])

    plans.assign_to_person(alice, vip, actor=boss)
    assert limits_of(alice) == [DAILY]
    assert plans.names_of([alice.pk, boss.pk]) == {alice.pk: "VIP"}
    plans.assign_to_person(alice, None, actor=boss)

    assert limits_of(alice) == limits_of(boss) != [DAILY]
    assert acts()[1:] == [AuditAction.PLAN_ASSIGNED] * 2


def test_a_plan_that_is_deleted_gives_way_to_the_default(alice, boss):
    vip = plans.create(actor=boss, name="VIP", limits=[DAILY])
    plans.assign_to_person(alice, vip, actor=boss)

    plans.delete(vip, actor=boss)

    assert limits_of(alice) == limits_of(boss) != [DAILY]
    assert AuditEntry.objects.get(action=AuditAction.PLAN_DELETED).before["assigned"] == 1


def test_a_role_s_plan_is_that_of_its_people(alice, boss):
    alice.groups.add(Group.objects.get(name="member"))
    plans.assign_to_role(
        "member", plans.create(actor=boss, name="Members", limits=[DAILY]), actor=boss
    )

    assert limits_of(alice) == [DAILY]
    with pytest.raises(Invalid):
        plans.assign_to_role("emperor", None, actor=boss)


def test_who_lacks_the_permission_changes_nothing(alice):
    limited("user", alice.pk, "tokens", "day", 5)
    standard = Plan.objects.get()

    for act in (
        lambda: plans.create(actor=alice, name="Mine"),
        lambda: plans.change(standard, actor=alice, limits=[]),
        lambda: plans.delete(standard, actor=alice),
        lambda: plans.assign_to_person(alice, standard, actor=alice),
        lambda: plans.assign_to_role("member", standard, actor=alice),
    ):
        with pytest.raises(PermissionDenied):
            act()

    assert not AuditEntry.objects.exists()
