"""Counters, the ledger and the usage report, as staff look at them."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from quotas.models import (
    Kind,
    Payer,
    UsageRecord,
    Window,
)
from quotas.services import granting, plans
from quotas.services.amounts import Allowance
from quotas.services.limits import amounts_of, limits_of
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


class TestCounters:
    def test_the_limit_stands_beside_what_is_used_and_held(self, admin, mina):
        granting.set_limit(subject_of(mina), "tokens", "day", 1_000, actor=None)
        granting.grant(subject_of(mina), "tokens", 500, actor=None)
        end(begin(Payer(mina.pk)), prompt=100, completion=200)
        begin(Payer(mina.pk))
        there = Window.objects.get(kind=Kind.USER)

        for shown in (
            page(admin.get(f"{QUOTAS}window/?q=solveig")),
            page(admin.get(f"{QUOTAS}window/{there.pk}/change/")),
        ):
            for told in ("solveig", "300", "100", "1,500", "20%"):
                assert told in shown

    def test_of_a_time_that_is_past_there_is_no_limit(self, admin, mina):
        granting.set_limit(subject_of(mina), "tokens", "day", 1_000, actor=None)
        end(begin(Payer(mina.pk), at=timezone.now() - timedelta(days=3)))

        assert "1,000" not in page(admin.get(f"{QUOTAS}window/?time=past"))
        assert "solveig" in page(admin.get(f"{QUOTAS}window/?time=past"))
        assert "solveig" not in page(admin.get(f"{QUOTAS}window/?time=now"))

    def test_many_at_once_are_the_same_as_one_by_one(self, mina, root):
        """The list reads limits its own way: it must say what turns are held against."""
        team = plans.create(
            actor=None,
            name="Team",
            limits=[Allowance("tokens", "day", 70), Allowance("cost", "month", 5)],
        )
        roomy = plans.create(actor=None, name="Roomy", limits=[Allowance("tokens", "day", 900)])
        free = plans.create(actor=None, name="Free")
        granting.set_limit(subject_of(mina), "requests", "minute", 3, actor=None)
        granting.grant(subject_of(mina), "tokens", 11, actor=None)
        people = [mina, root]
        now = timezone.now() + timedelta(seconds=1)
        for change in (
            lambda: None,
            lambda: plans.assign_to_role("member", team, actor=None),
            lambda: plans.assign_to_role("admin", roomy, actor=None),
            lambda: mina.groups.add(Group.objects.get(name="admin")),
            lambda: plans.assign_to_person(mina, team, actor=None),
            lambda: plans.assign_to_person(root, free, actor=None),
        ):
            change()
            found = amounts_of({("user", str(each.pk)) for each in people}, at=now)
            expected = {
                limit.key: limit.amount
                for each in people
                for limit in limits_of(Payer(each.pk), at=now).limits
                if limit.kind == Kind.USER
            }
            assert found == expected


class TestLedger:
    def test_names_stand_for_ids_and_labels_for_words(self, admin, mina, key, root):
        end(begin(Payer(mina.pk, key_id=key.pk)))
        User.objects.filter(pk=root.pk).update(language="zh-hans")

        shown = page(admin.get(f"{QUOTAS}usagerecord/"))
        row = UsageRecord.objects.get()
        one = page(admin.get(f"{QUOTAS}usagerecord/{row.pk}/change/"))

        for told in ("solveig", key.prefix):
            assert told in shown
            assert told in one
        for word in (">message<", ">complete<", "message\n", "complete\n"):
            assert word not in shown

    def test_filters_do_not_read_the_table(self, admin, mina, django_assert_max_num_queries):
        end(begin(Payer(mina.pk)))

        with django_assert_max_num_queries(20) as queries:
            page(admin.get(f"{QUOTAS}usagerecord/?purpose=message&outcome=complete"))

        assert not [each["sql"] for each in queries if "DISTINCT" in each["sql"]]


class TestReport:
    def test_who_used_how_much(self, admin, mina, root):
        for each in (mina, mina, root):
            end(begin(Payer(each.pk)), prompt=1_000, completion=500)
        end(begin(Payer()))

        shown = page(admin.get(REPORT))

        for told in ("solveig", "root", "Parley itself", "3,000", "4,530"):
            assert told in shown

    @pytest.mark.parametrize("by", ["user", "model", "key", "day"])
    def test_each_way_opens_and_downloads(self, admin, mina, key, by):
        end(begin(Payer(mina.pk, key_id=key.pk)), prompt=7, completion=5)

        assert "12" in page(admin.get(f"{REPORT}?by={by}"))
        answer = admin.get(f"{REPORT}?by={by}&format=csv")

        assert answer["Content-Type"].startswith("text/csv")
        assert answer["Content-Disposition"].startswith(f'attachment; filename="usage-by-{by}-')
        [row] = csv.DictReader(io.StringIO(answer.content.decode().removeprefix("\ufeff")))
        assert (row["requests"], row["prompt_tokens"], row["total_tokens"]) == ("1", "7", "12")
        assert row[by]

    def test_no_cell_is_a_formula(self, admin, mina):
        """A10"""
        end(begin(Payer(mina.pk)))
        UsageRecord.objects.update(model="=cmd|' /C calc'!A0")

        answer = admin.get(f"{REPORT}?by=model&format=csv")

        [row] = csv.DictReader(io.StringIO(answer.content.decode().removeprefix("\ufeff")))
        assert row["model"].startswith("'=cmd")

    @pytest.mark.parametrize(
        "asked",
        [
            "from=1&start=2030-02-31",
            "start=2030-01-02&to=2030-01-01",
            "start=2001-01-01&to=2099-01-01",
            "start=0001-01-01&to=0001-01-02",
            "by=moon",
        ],
    )
    def test_days_and_groups_that_are_none_are_told(self, admin, asked):
        """I7"""
        for more in ("", "&format=csv"):
            answer = admin.get(f"{REPORT}?{asked}{more}")
            assert "text/html" in answer["Content-Type"]
            assert answer.context["form"].errors

    def test_it_is_for_those_who_may_see_usage(self, person):
        member = person("looker")
        User.objects.filter(pk=member.pk).update(is_staff=True)
        client = Client()
        client.force_login(member)
        assert client.get(REPORT).status_code in {302, 403}

        member.user_permissions.add(Permission.objects.get(codename="view_usagerecord"))
        assert client.get(REPORT).status_code == 200

    def test_it_stands_in_the_side_bar(self, admin):
        assert f'href="{REPORT}' in page(admin.get("/admin/"))

    def test_more_rows_cost_no_more_queries(self, admin, person, django_assert_max_num_queries):
        for number in range(12):
            end(begin(Payer(person(f"person{number}").pk)))

        with django_assert_max_num_queries(12):
            page(admin.get(REPORT))
