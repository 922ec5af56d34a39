"""`users/me/quota`, `users/me/usage`, `usage` and `plans`: what people and staff see over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services import api_keys
from quotas.models import Payer, Plan, UsageRecord
from quotas.services import plans
from tests.accounts.conftest import Api, device, mina, person, problem, root
from tests.quotas.rows import begin, end, limited

__all__ = ["device", "mina", "person", "root"]


@pytest.fixture
def own(mina, device):
    return device(mina)


@pytest.fixture
def chief(root, device):
    return device(root)


def used(at=None, *, user=None, key=None, model="echo", prompt=10, completion=5, cost=1_500_000):
    return UsageRecord.objects.create(
        turn_id=uuid4(),
        user_id=user and user.pk,
        key_id=key,
        purpose="message",
        model=model,
        outcome="complete",
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=cost,
        started_at=at or timezone.now(),
    )


def results(answer):
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


class TestOnesOwnLimits:
    def test_say_what_is_used_held_and_left(self, own, mina):
        Plan.objects.all().delete()
        limited("user", mina.pk, "tokens", "day", 1_000)
        limited("user", mina.pk, "cost", "total", 2_000_000_000)
        end(begin(Payer(mina.pk)), 10, 20)
        begin(Payer(mina.pk))

        cost, tokens = own.call("GET", "users/me/quota").json()["limits"]

        assert tokens | {"resets_at": ""} == {
            "subject": "user",
            "metric": "tokens",
            "period": "day",
            "limit": 1_000,
            "used": 30,
            "held": 100,
            "remaining": 870,
            "resets_at": "",
        }
        assert datetime.fromisoformat(tokens["resets_at"]) > timezone.now()
        assert (cost["limit"], cost["resets_at"]) == ("2.000000", None)

    def test_never_fall_below_nothing(self, own, mina):
        limited("user", mina.pk, "tokens", "day", 100)
        end(begin(Payer(mina.pk)), 10, 5_000)

        (told,) = own.call("GET", "users/me/quota").json()["limits"]

        assert (told["used"], told["remaining"]) == (5_010, 0)

    def test_hold_the_key_s_for_those_who_come_with_one(self, mina):
        key = api_keys.create(mina, name="A program", scopes=["read"], actor=mina)
        limited("key", key.row.pk, "requests", "day", 7)

        told = Api().get("users/me/quota", HTTP_AUTHORIZATION=f"Bearer {key.text}").json()

        assert [each["subject"] for each in told["limits"]] == ["user", "key"]


class TestUsage:
    def test_of_one_s_own_is_by_day_and_the_last_thirty(self, own, mina, root):
        now = timezone.now()
        used(user=mina)
        used(user=mina, at=now - timedelta(days=29))
        used(user=mina, at=now - timedelta(days=31))
        used(user=root)
        used()

        found = results(own.call("GET", "users/me/usage"))

        assert [each["day"] for each in found] == sorted(
            [(now - timedelta(days=29)).date().isoformat(), now.date().isoformat()]
        )
        assert found[1] | {"day": ""} == {
            "day": "",
            "requests": 1,
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "cost": "0.001500",
        }

    def test_of_one_s_own_is_by_model_the_dearest_first(self, own, mina):
        used(user=mina, model="cheap")
        used(user=mina, model="dear", cost=10**9)
        used(user=mina, model="dear", cost=10**9)

        found = results(own.call("GET", "users/me/usage?group_by=model"))

        assert [(each["model"], each["requests"], each["cost"]) for each in found] == [
            ("dear", 2, "2.000000"),
            ("cheap", 1, "0.001500"),
        ]

    def test_days_are_those_of_the_deployment_and_inclusive(self, own, mina, settings):
        settings.TIME_ZONE = "Asia/Shanghai"
        for hour in (15, 16, 17):  # midnight there is 16:00 UTC
            used(user=mina, at=datetime(2026, 11, 20, hour, tzinfo=UTC))
        used(user=mina, at=datetime(2026, 11, 21, 16, tzinfo=UTC))

        found = results(own.call("GET", "users/me/usage?from=2026-11-21&to=2026-11-21"))
        both = results(own.call("GET", "users/me/usage?from=2026-11-20&to=2026-11-21"))

        assert [(each["day"], each["requests"]) for each in found] == [("2026-11-21", 2)]
        assert [(each["day"], each["requests"]) for each in both] == [
            ("2026-11-20", 1),
            ("2026-11-21", 2),
        ]

    def test_of_all_is_by_person_with_their_names(self, chief, mina):
        gone = uuid4()
        used(user=mina, cost=3)
        used(cost=2)
        UsageRecord.objects.filter(pk=used(cost=1).pk).update(user_id=gone)

        found = results(chief.call("GET", "usage?group_by=user"))

        assert [(each["user"], each["username"]) for each in found] == [
            (str(mina.pk), "mina"),
            (None, None),
            (str(gone), None),
        ]

    def test_of_all_is_by_key_too(self, chief, mina):
        key = uuid4()
        used(user=mina, key=key, cost=5)
        used(user=mina, cost=1)

        found = results(chief.call("GET", "usage?group_by=key"))

        assert [each["key"] for each in found] == [str(key), None]

    def test_of_all_asks_as_often_for_many_as_for_one(
        self, chief, mina, person, django_assert_num_queries
    ):
        used(user=mina)
        with django_assert_num_queries(3):  # who is calling, the sums, the names
            chief.call("GET", "usage?group_by=user")
        for number in range(5):
            used(user=person(f"person{number}"))
        with django_assert_num_queries(3):
            assert len(results(chief.call("GET", "usage?group_by=user"))) == 6

    def test_of_all_is_for_those_with_the_permission(self, own):
        assert problem(own.call("GET", "usage")) == (403, "permission_denied")


class TestPlans:
    def test_are_made_shown_changed_and_deleted(self, chief):
        limits = [
            {"metric": "tokens", "period": "day", "limit": 500_000},
            {"metric": "cost", "period": "month", "limit": "12.500000"},
        ]
        made = chief.call("POST", "plans", {"name": "Team", "limits": limits, "more": 1})

        assert made.status_code == 201
        plan = made.json()
        assert plan == {"id": plan["id"], "name": "Team", "is_default": False, "limits": limits}
        assert chief.call("GET", f"plans/{plan['id']}").json() == plan
        assert [each["name"] for each in results(chief.call("GET", "plans"))] == [
            "Standard",
            "Team",
        ]
        changed = chief.call("PATCH", f"plans/{plan['id']}", {"is_default": True}).json()
        assert changed == plan | {"is_default": True}
        assert Plan.objects.get(is_default=True).name == "Team"
        refused = chief.call("DELETE", f"plans/{plan['id']}")
        assert problem(refused) == (409, "conflict")
        other = Plan.objects.get(name="Standard").pk
        assert chief.call("DELETE", f"plans/{other}").status_code == 204
        assert problem(chief.call("GET", f"plans/{other}")) == (404, "not_found")

    @pytest.mark.parametrize(
        ("limit", "field"),
        [
            ({"metric": "words"}, "limits.0.metric"),
            ({"period": "week"}, "limits.0.period"),
            ({"limit": -1}, "limits.0.limit"),
            ({"limit": "5"}, "limits.0.limit"),
            ({"limit": 10**18}, "limits.0.limit"),
            ({"metric": "cost", "limit": "much"}, "limits.0.limit"),
        ],
    )
    def test_name_the_field_that_is_wrong(self, chief, limit, field):
        wrong = {"metric": "tokens", "period": "day", "limit": 1} | limit

        answer = chief.call("POST", "plans", {"name": "Team", "limits": [wrong]})

        assert problem(answer) == (400, "invalid")
        assert list(answer.json()["errors"]) == [field]

    @pytest.mark.parametrize("missing", ["metric", "period", "limit"])
    def test_are_changed_by_whole_limits_only(self, chief, missing):
        plan = Plan.objects.get(name="Standard").pk
        part = {"metric": "tokens", "period": "day", "limit": 1}
        del part[missing]

        answer = chief.call("PATCH", f"plans/{plan}", {"limits": [part]})

        assert problem(answer) == (400, "invalid")
        assert list(answer.json()["errors"]) == [f"limits.0.{missing}"]

    def test_have_no_limit_twice_and_no_name_twice(self, chief):
        one = {"metric": "tokens", "period": "day", "limit": 1}

        for body, field in (
            ({"name": "Team", "limits": [one, one]}, "limits"),
            ({"name": "Standard"}, "name"),
            ({"limits": []}, "name"),
        ):
            answer = chief.call("POST", "plans", body)
            assert problem(answer) == (400, "invalid")
            assert list(answer.json()["errors"]) == [field]

    def test_take_a_cost_as_a_number_too(self, chief):
        limit = {"metric": "cost", "period": "day", "limit": 2.5}

        made = chief.call("POST", "plans", {"name": "Team", "limits": [limit]}).json()

        assert made["limits"] == [limit | {"limit": "2.500000"}]


class TestThePlanOfAPerson:
    def test_is_given_by_name_and_taken_back(self, chief, mina):
        plans.create(actor=None, name="VIP")

        given = chief.call("PATCH", f"users/{mina.pk}", {"plan": "VIP"})
        shown = {each["username"]: each["plan"] for each in results(chief.call("GET", "users"))}
        back = chief.call("PATCH", f"users/{mina.pk}", {"plan": None})

        assert (given.status_code, given.json()["plan"]) == (200, "VIP")
        assert shown == {"mina": "VIP", "root": None}
        assert back.json()["plan"] is None

    def test_is_changed_with_all_else_or_not_at_all(self, chief, mina):
        answer = chief.call("PATCH", f"users/{mina.pk}", {"is_active": False, "plan": "None such"})

        assert problem(answer) == (400, "invalid")
        assert list(answer.json()["errors"]) == ["plan"]
        assert User.objects.get(pk=mina.pk).is_active

    def test_costs_no_query_for_each_of_a_list(self, chief, person, django_assert_max_num_queries):
        for number in range(8):
            person(f"person{number}")
        with django_assert_max_num_queries(4):
            chief.call("GET", "users")
