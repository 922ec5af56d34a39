"""`manage.py seed_demo` and `manage.py stats`."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from accounts.services import registration
from accounts.services.authentication import authenticate
from accounts.services.callers import Caller
from chat.models import Conversation, Message
from chat.services.conversations import delete_conversations_of
from chat.services.messages import branch
from chat.services.search import search
from quotas.models import UsageRecord

pytestmark = pytest.mark.django_db


def run(*words):
    out = io.StringIO()
    call_command(*words, "--format", "json", stdout=out)
    return json.loads(out.getvalue())


def person(name, role="member"):
    return registration.create_person(
        username=name, email=f"{name}@example.org", password="long enough", roles=[role]
    )


class TestSeeding:
    def test_makes_a_team_that_can_sign_in(self):
        told = run("seed_demo")

        assert told["people"] == User.objects.count() == 6
        assert told["conversations"] == Conversation.objects.count() >= 10
        assert told["messages"] == Message.objects.count()
        for name in ("sofia", "liwei"):
            assert (
                authenticate(
                    name=name, password=told["password"], address="203.0.113.7"
                ).user.username
                == name
            )

    def test_every_conversation_stands_as_if_it_had_been_held(self):
        run("seed_demo")

        for talk in Conversation.objects.select_related("owner"):
            rows = list(talk.messages.order_by("position"))
            assert [row.position for row in rows] == list(range(1, talk.last_position + 1))
            assert talk.message_count == len(rows) >= 2
            assert rows[0].role == "user"
            assert all(row.parent.role != row.role for row in rows[1:])
            assert talk.created_at < talk.updated_at <= timezone.now()
            page = branch(Caller(talk.owner, None), talk.pk, limit=100)
            assert page.messages[-1]["content"] == rows[-1].content
            assert page.messages[-1]["role"] == "assistant"

    def test_it_shows_what_there_is_to_show(self):
        run("seed_demo")

        assert Conversation.objects.filter(pinned=True).exists()
        assert Conversation.objects.filter(archived=True).exists()
        assert set(Message.objects.exclude(rating="").values_list("rating", flat=True)) == {
            "up",
            "down",
        }
        assert {user.language for user in User.objects.all()} == {"en", "zh-hans"}
        siblings = Message.objects.filter(role="assistant").values_list("parent", flat=True)
        assert len(siblings) > len(set(siblings))

    def test_it_can_be_searched_in_both_languages(self):
        run("seed_demo")

        for name, words in (("liwei", "连接池"), ("sofia", "refund")):
            user = User.objects.get(username=name)
            mine = Conversation.objects.visible_to(user)
            assert search(mine, user, words).count() == 1

    def test_again_it_adds_nothing(self):
        run("seed_demo")
        delete_conversations_of(User.objects.get(username="jonas"))
        before = Conversation.objects.count()

        told = run("seed_demo")

        assert told == {"people": 0, "conversations": 0, "messages": 0, "password": None}
        assert Conversation.objects.count() == before

    def test_an_administrator_alone_may_have_it(self):
        person("root", "admin")

        assert run("seed_demo")["people"] == 6

    def test_among_people_it_is_refused_unless_asked(self):
        mina, sofia = person("mina"), person("sofia")

        with pytest.raises(SystemExit):
            run("seed_demo")
        assert User.objects.count() == 2

        assert run("seed_demo", "--among-people")["people"] == 5
        for user in (mina, sofia):
            assert not Conversation.objects.filter(owner=user).exists()


class TestStats:
    @pytest.fixture
    def used(self):
        user, now = person("mina"), timezone.now()
        fields = {"user_id": user.pk, "purpose": "message", "prompt_tokens": 7}
        for model, outcome, cost, age in (
            ("a", "complete", 1_000_000, 1),
            ("a", "failed", 0, 2),
            ("b", "complete", 5_000_000, 3),
            ("b", "complete", 9_000_000, 40),
        ):
            UsageRecord.objects.create(
                turn_id=uuid4(),
                model=model,
                outcome=outcome,
                cost=cost,
                completion_tokens=2,
                started_at=now - timedelta(days=age),
                **fields,
            )

    def test_who_and_what_and_how_much(self, used):
        told = run("stats")

        assert (told["people"], told["people_active"], told["people_member"]) == (1, 1, 1)
        assert (told["turns"], told["turns_complete"], told["turns_failed"]) == (3, 2, 1)
        assert (told["people_who_asked"], told["turns_running"]) == (1, 0)
        assert (told["prompt_tokens"], told["completion_tokens"]) == (21, 6)
        assert told["cost"] == "0.006000"

    def test_of_fewer_days(self, used):
        told = run("stats", "--days", "2")

        assert (told["days"], told["turns"], told["cost"]) == (2, 1, "0.001000")

    def test_model_by_model_the_dearest_first(self, used):
        told = run("stats", "--by-model")

        assert [(row["model"], row["turns"], row["cost"]) for row in told] == [
            ("b", 1, "0.005000"),
            ("a", 2, "0.001000"),
        ]

    def test_of_an_empty_deployment(self):
        told = run("stats")

        assert (told["people"], told["turns"], told["cost"]) == (0, 0, "0.000000")
        assert run("stats", "--by-model") == []

    @pytest.mark.parametrize("days", ["0", "-1", "99999"])
    def test_of_no_days_is_a_usage_error(self, days):
        with pytest.raises(CommandError) as refused:
            run("stats", "--days", days)

        assert refused.value.returncode == 2
