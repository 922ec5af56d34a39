"""Plans, limits and boosts, as staff work with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Role, User
from quotas.models import (
    Boost,
    Kind,
    Payer,
    Plan,
    PlanAssignment,
    SubjectLimit,
)
from quotas.periods import bounds
from quotas.services import granting, plans
from quotas.services.amounts import Allowance
from quotas.services.limits import limits_of
from quotas.services.subjects import person as subject_of
from tests.quotas.rows import begin, end

QUOTAS = "/admin/quotas/"
PEOPLE = "/admin/accounts/user/"
REPORT = f"{QUOTAS}usagerecord/report/"


def page(answer):
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def done(answer):
    """It was saved: no form came back, and nothing refused."""
    assert answer.status_code == 302, answer.content.decode()
    return answer


def limits_form(*limits, name="Team", default=False, initial=0):
    form = {"name": name, "limits-TOTAL_FORMS": len(limits), "limits-INITIAL_FORMS": initial}
    if default:
        form["is_default"] = "on"
    for number, limit in enumerate(limits):
        form |= {f"limits-{number}-{each}": value for each, value in limit.items()}
    return form


def of(metric, period, amount, **more):
    return {"metric": metric, "period": period, "amount": amount} | more


def acts(**wanted):
    return AuditEntry.objects.filter(actor_name="root", **wanted).count()


class TestPlans:
    def test_one_is_made_with_its_limits(self, admin):
        form = limits_form(of("tokens", "day", "1,500k"), of("cost", "month", "1,012.50"))

        shown = page(admin.post(f"{QUOTAS}plan/add/", form, follow=True))

        made = Plan.objects.get(name="Team")
        assert f'/{made.pk}/change/">Team</a>' in shown
        assert plans.allowances(made) == [
            Allowance("tokens", "day", 1_500_000),
            Allowance("cost", "month", 1_012_500_000_000),
        ]
        assert acts(action="plan.created") == 1

    def test_its_limits_are_changed_added_and_taken_away(self, admin):
        plan = plans.create(
            actor=None,
            name="Team",
            limits=[Allowance("tokens", "day", 5), Allowance("requests", "day", 7)],
        )
        rows = {row.metric: str(row.pk) for row in plan.limits.all()}
        known = [
            of("tokens", "day", "6", id=rows["tokens"], plan=plan.pk),
            of("requests", "day", "7", id=rows["requests"], plan=plan.pk, DELETE="on"),
            of("cost", "total", "1"),
        ]
        known.sort(key=lambda row: row.get("id", "z"))

        done(admin.post(f"{QUOTAS}plan/{plan.pk}/change/", limits_form(*known, initial=2)))

        assert plans.allowances(Plan.objects.get(pk=plan.pk)) == [
            Allowance("tokens", "day", 6),
            Allowance("cost", "total", 10**9),
        ]
        assert acts(action="plan.changed") == 1

    def test_money_is_shown_as_money(self, admin):
        limits = [Allowance("cost", "month", 12_500_000_000)]
        plan = plans.create(actor=None, name="Team", limits=limits)

        assert "12.50 Cost / Month" in page(admin.get(f"{QUOTAS}plan/"))
        assert 'value="12.500000"' in page(admin.get(f"{QUOTAS}plan/{plan.pk}/change/"))

    @pytest.mark.parametrize(
        ("limits", "told"),
        [
            ([of("tokens", "day", "1.5")], "whole number"),
            ([of("tokens", "day", "lots")], "whole number"),
            ([of("cost", "day", "cheap")], "amount of money"),
            ([of("cost", "day", "12,50")], "amount of money"),
            ([of("cost", "day", "0,125")], "amount of money"),
            ([of("tokens", "day", "1,5k")], "whole number"),
            ([of("tokens", "day", "-1")], "whole number"),
            ([of("tokens", "day", "1"), of("tokens", "day", "2")], "there twice"),
        ],
    )
    def test_what_is_no_limit_is_told_beside_it(self, admin, limits, told):
        shown = page(admin.post(f"{QUOTAS}plan/add/", limits_form(*limits)))

        assert told in shown
        assert not Plan.objects.filter(name="Team").exists()

    def test_the_list_says_how_many_have_it(self, admin, mina, root):
        plan = plans.create(actor=None, name="Team")
        for each in (mina, root):
            plans.assign_to_person(each, plan, actor=None)
        plans.assign_to_role("agent", plan, actor=None)

        answer = admin.get(f"{QUOTAS}plan/?q=Team")

        [shown] = answer.context["cl"].result_list
        assert shown.counts == {Kind.USER: "2", Kind.GROUP: "1"}

    def test_the_default_one_stays_the_default(self, admin):
        default = Plan.objects.get(is_default=True)
        there = f"{QUOTAS}plan/{default.pk}/"

        assert "Make another one" in page(
            admin.post(there + "change/", limits_form(name=default.name))
        )
        admin.post(there + "delete/", {"post": "yes"})
        assert Plan.objects.get(is_default=True) == default

        done(admin.post(f"{QUOTAS}plan/add/", limits_form(name="Better", default=True)))
        assert Plan.objects.get(is_default=True).name == "Better"


class TestAssignments:
    def test_to_a_person_chosen_by_name(self, admin, mina):
        plan = plans.create(actor=None, name="Team")
        form = {"kind": "user", "person": str(mina.pk), "plan": str(plan.pk)}

        done(admin.post(f"{QUOTAS}planassignment/add/", form))

        assert plans.names_of([mina.pk]) == {mina.pk: "Team"}
        assert "solveig" in page(admin.get(f"{QUOTAS}planassignment/?q=solv"))
        assert "solveig" not in page(admin.get(f"{QUOTAS}planassignment/?q=olga"))
        assert acts(action="plan.assigned") == 1

    def test_to_a_role_changed_and_taken_away(self, admin):
        one, other = (plans.create(actor=None, name=name) for name in ("One", "Other"))
        group = Group.objects.get(name="agent")
        form = {"kind": "group", "group": str(group.pk), "plan": str(one.pk)}
        done(admin.post(f"{QUOTAS}planassignment/add/", form))
        row = PlanAssignment.objects.get(kind=Kind.GROUP)
        there = f"{QUOTAS}planassignment/{row.pk}/"

        done(admin.post(there + "change/", {"plan": str(other.pk)}))
        assert PlanAssignment.objects.get(kind=Kind.GROUP).plan == other
        assert "Agent" in page(admin.get(there + "change/"))

        done(admin.post(there + "delete/", {"post": "yes"}))
        assert not PlanAssignment.objects.exists()

    def test_nobody_is_told(self, admin):
        plan = plans.create(actor=None, name="Team")

        answer = admin.post(f"{QUOTAS}planassignment/add/", {"kind": "user", "plan": str(plan.pk)})

        assert "Say whose it is." in page(answer)


class TestLimits:
    def test_of_a_person_a_role_a_key_and_everybody(self, admin, mina, key):
        group = Group.objects.get(name="member")
        for whose in (
            {"kind": "user", "person": str(mina.pk)},
            {"kind": "group", "group": str(group.pk)},
            {"kind": "key", "key": f"{key.prefix}…"},
            {"kind": "deployment"},
        ):
            form = of("tokens", "day", "1,000") | whose
            done(admin.post(f"{QUOTAS}subjectlimit/add/", form))

        rows = SubjectLimit.objects.values_list("kind", "subject_id", "amount")
        assert set(rows) == {
            ("user", str(mina.pk), 1_000),
            ("group", str(group.pk), 1_000),
            ("key", str(key.pk), 1_000),
            ("deployment", "", 1_000),
        }
        shown = page(admin.get(f"{QUOTAS}subjectlimit/"))
        for name in ("solveig", "Member", key.prefix, "everybody together", "1,000"):
            assert name in shown
        assert acts(action="limit.changed") == 4

    def test_one_is_changed_and_taken_away(self, admin, mina):
        granting.set_limit(subject_of(mina), "cost", "day", 5 * 10**9, actor=None)
        there = f"{QUOTAS}subjectlimit/{SubjectLimit.objects.get().pk}/"
        assert 'value="5.000000"' in page(admin.get(there + "change/"))

        done(admin.post(there + "change/", {"amount": "7.5"}))
        assert SubjectLimit.objects.get().amount == 7_500_000_000

        done(admin.post(there + "delete/", {"post": "yes"}))
        assert not SubjectLimit.objects.exists()
        assert acts(action="limit.changed") == 2

    @pytest.mark.parametrize(
        ("whose", "told"),
        [
            ({"kind": "key", "key": "parley-nobody"}, "Exactly one key"),
            ({"kind": "group"}, "Say whose it is."),
            ({"kind": "user", "person": "not-an-id"}, "is not a valid UUID"),
            ({"kind": "moon"}, "Select a valid choice"),
        ],
    )
    def test_nobody_of_that_name_is_told(self, admin, whose, told):
        form = of("tokens", "day", "1") | whose

        assert told in page(admin.post(f"{QUOTAS}subjectlimit/add/", form))
        assert not SubjectLimit.objects.exists()


class TestBoosts:
    def test_500k_tokens_until_friday(self, admin, mina):
        friday = timezone.localdate() + timedelta(days=4)
        form = {"kind": "user", "person": str(mina.pk), "amount": "+500k", "metric": "tokens"}
        form |= {"until": friday.isoformat(), "period": "", "reason": "Trade fair"}

        done(admin.post(f"{QUOTAS}boost/add/", form))

        boost = Boost.objects.get()
        assert (boost.amount, boost.subject_id, boost.period) == (500_000, str(mina.pk), "")
        assert boost.ends_at == bounds("day", timezone.now() + timedelta(days=4))[1]
        shown = page(admin.get(f"{QUOTAS}boost/"))
        assert "+500,000" in shown
        assert "Trade fair" in shown
        assert acts(action="boost.granted") == 1

    def test_it_is_taken_back(self, admin, mina):
        boost = granting.grant(subject_of(mina), "tokens", 5, actor=None)
        there = f"{QUOTAS}boost/{boost.pk}/"
        assert "solveig" in page(admin.get(there + "change/"))

        done(admin.post(there + "delete/", {"post": "yes"}))

        assert not Boost.objects.exists()
        assert acts(action="boost.taken_back") == 1

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"until": "2001-01-01"}, "This is past."),
            ({"until": "9999-12-31"}, "between 2000 and 2100"),
            ({"amount": "0"}, "Use a number above 0."),
            ({"amount": "1" * 30}, "whole number"),
        ],
    )
    def test_what_cannot_be_granted_is_told(self, admin, mina, fields, told):
        form = {"kind": "user", "person": str(mina.pk), "amount": "5", "metric": "tokens"}

        answer = admin.post(f"{QUOTAS}boost/add/", form | fields, follow=True)

        assert told in page(answer)
        assert not Boost.objects.exists()


class TestPeople:
    def do(self, admin, action, *people, **fields):
        chosen = {"action": action, "_selected_action": [str(each.pk) for each in people]}
        return admin.post(PEOPLE, chosen | fields, follow=True)

    def test_a_plan_is_assigned_to_many(self, admin, mina, root):
        plan = plans.create(actor=None, name="Team")
        assert "solveig" in page(self.do(admin, "assign_plan", mina, root))

        self.do(admin, "assign_plan", mina, root, answered="yes", plan=str(plan.pk))
        assert set(plans.names_of([mina.pk, root.pk]).values()) == {"Team"}

        self.do(admin, "assign_plan", mina, answered="yes", plan="")
        assert plans.names_of([mina.pk]) == {}

    def test_more_is_granted_to_many(self, admin, mina, root):
        asked = {"answered": "yes", "amount": "2M", "metric": "tokens", "period": "day"}

        self.do(admin, "grant", mina, root, **asked)

        assert list(Boost.objects.values_list("amount", "period")) == [(2_000_000, "day")] * 2

    def test_a_wrong_amount_asks_again(self, admin, mina):
        answer = self.do(admin, "grant", mina, answered="yes", amount="some", metric="tokens")

        assert "whole number" in page(answer)
        assert not Boost.objects.exists()

    def test_todays_use_is_reset(self, admin, mina):
        granting.set_limit(subject_of(mina), "tokens", "day", 1_000, actor=None)
        end(begin(Payer(mina.pk)), prompt=300, completion=400)

        self.do(admin, "reset_today", mina)

        [limit] = limits_of(Payer(mina.pk), at=timezone.now()).limits
        assert limit.amount == 1_700
        assert acts(action="limit.reset") == 1

    def test_the_actions_are_for_those_who_may(self, person, mina):
        supervisor = person("sue", Role.SUPERVISOR)
        User.objects.filter(pk=supervisor.pk).update(is_staff=True)
        client = Client()
        client.force_login(supervisor)

        shown = page(client.get(PEOPLE))
        self.do(client, "reset_today", mina)

        for action in ("assign_plan", "grant", "reset_today"):
            assert f'value="{action}"' not in shown
        assert not Boost.objects.exists()
