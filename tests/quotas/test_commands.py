"""`quota`, `plan`, `usage` and `audit_usage`: limits and usage from the command line."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import User
from accounts.services import api_keys
from quotas.models import Boost, Payer, Plan, SubjectLimit, UsageRecord, Window
from tests.accounts.conftest import mina, person, run
from tests.quotas.rows import begin, end

__all__ = ["mina", "person", "run"]


def answer(outcome):
    code, out, err = outcome
    assert code == 0, err
    return json.loads(out)


def test_a_limit_is_set_shown_and_taken_away(run, mina):
    told = answer(run("quota", "set", "mina", "tokens", "day", "500000", "--format", "json"))
    shown = answer(run("quota", "show", "mina", "--format", "json"))
    run("quota", "set", "mina@example.org", "tokens", "day", "none")

    assert told == [{"of": "mina", "metric": "tokens", "period": "day", "limit": 500_000}]
    assert [(each["of"], each["subject"], each["limit"]) for each in shown] == [
        ("mina", "user", 500_000)
    ]
    assert not SubjectLimit.objects.exists()


def test_limits_of_roles_keys_and_the_deployment_are_set_too(run, mina):
    key = api_keys.create(mina, name="A program", actor=mina).row
    for words in (("--group", "member"), ("--key", str(key.pk)), ("--deployment",)):
        assert run("quota", "set", *words, "cost", "month", "12.50")[0] == 0
        (row,) = answer(run("quota", "show", *words, "--format", "json"))
        assert (row["metric"], row["period"], row["limit"]) == ("cost", "month", "12.500000")

    rows = {each.kind: each.subject_id for each in SubjectLimit.objects.all()}
    group = Group.objects.get(name="member")
    assert rows == {"group": str(group.pk), "key": str(key.pk), "deployment": ""}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show",), 2),
        (("show", "mina", "--deployment"), 2),
        (("show", "nobody"), 1),
        (("show", "--group", "emperor"), 1),
        (("show", "--key", str(uuid4())), 1),
        (("show", "--key", "x"), 1),
        (("set", "mina", "tokens", "day", "-5"), 1),
        (("set", "mina", "tokens", "day", "much"), 1),
        (("set", "mina", "words", "day", "5"), 1),
        (("grant", "mina", "tokens", "5", "--until", "2020-01-01"), 1),
        (("grant", "mina", "tokens", "5", "--until", "9999-12-31"), 1),
        (("grant", "mina", "tokens", "5", "--until", "soon"), 1),
        (("grant", "mina", "tokens", "5", "--reason", "x" * 201), 1),
    ],
)
def test_what_makes_no_sense_is_refused(run, mina, words, code):
    assert run("quota", *words)[0] == code
    assert not SubjectLimit.objects.exists()
    assert not Boost.objects.exists()


def test_a_key_that_was_revoked_gets_no_limit(run, mina):
    key = api_keys.create(mina, name="A program", actor=mina).row
    api_keys.revoke(key, actor=mina)

    code, _out, err = run("quota", "set", "--key", str(key.pk), "tokens", "day", "5")

    assert code == 1
    assert "revoked before" in err
    assert not SubjectLimit.objects.exists()


def test_more_is_granted_to_several_until_the_end_of_a_day(run, mina, person, settings):
    settings.TIME_ZONE = "Asia/Shanghai"
    person("olga")

    code, out, _err = run("quota", "grant", "mina", "olga", "tokens", "5", "--until", "2030-01-31")

    assert code == 0
    assert "olga" in out
    assert {each.ends_at for each in Boost.objects.all()} == {datetime(2030, 1, 31, 16, tzinfo=UTC)}
    assert Boost.objects.count() == 2


def test_a_reset_says_what_was_forgiven(run, mina):
    assert "used" in run("quota", "reset", "mina")[1]
    end(begin(Payer(mina.pk)), 100, 200)

    (row,) = answer(run("quota", "reset", "mina", "--format", "json"))

    assert row["granted"] == "tokens/day=300"


def test_plans_are_made_changed_given_and_deleted(run, mina):
    made = answer(
        run(
            *("plan", "create", "Team", "--limit", "tokens/day=500000"),
            *("--limit", "cost/month=25.5", "--format", "json"),
        )
    )
    assert made == {
        "name": "Team",
        "default": False,
        "limits": ["tokens/day=500000", "cost/month=25.500000"],
    }
    assert run("plan", "assign", "Team", "mina")[0] == 0
    assert run("plan", "assign", "Team", "--role", "agent")[0] == 0
    listed = {each["name"]: each for each in answer(run("plan", "list", "--format", "json"))}
    assert (listed["Team"]["assigned"], listed["Standard"]["default"]) == (2, True)
    assert run("plan", "assign", "none", "mina")[0] == 0
    assert run("plan", "change", "Team", "--rename", "Crew", "--no-limits", "--default")[0] == 0
    assert answer(run("plan", "delete", "Standard", "--yes", "--format", "json"))

    crew = Plan.objects.get()
    assert (crew.name, crew.is_default, crew.limits.count()) == ("Crew", True, 0)
    assert crew.assignments.count() == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", "Standard"), 1),
        (("create", "none"), 1),
        (("create", "\u202e"), 1),
        (("create", "x" * 81), 1),
        (("create", "Team", "--limit", "tokens/week=5"), 1),
        (("create", "Team", "--limit", "tokens"), 1),
        (("create", "Team", "--limit", "tokens/day=5", "--limit", "tokens/day=6"), 1),
        (("change", "Team", "--default"), 1),
        (("change", "Standard", "--limit", "tokens/day=5", "--no-limits"), 2),
        (("assign", "Standard"), 2),
        (("assign", "Standard", "nobody"), 1),
        (("delete", "Standard", "--yes"), 1),
        (("delete", "Standard"), 2),
    ],
)
def test_what_is_no_plan_is_refused(run, mina, words, code):
    assert run("plan", *words)[0] == code
    assert Plan.objects.get().limits.count() == 1


def used(model, **fields):
    values = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 1_500_000} | fields
    UsageRecord.objects.create(
        turn_id=uuid4(),
        purpose="message",
        model=model,
        outcome="complete",
        started_at=timezone.now(),
        **values,
    )


def test_a_report_is_a_table_json_or_csv(run, mina):
    used("echo", user_id=mina.pk)

    table = run("usage", "report", "--by", "user")[1]
    as_json = answer(run("usage", "report", "--by", "user", "--format", "json"))
    as_csv = run("usage", "report", "--by", "user", "--format", "csv")[1]

    assert table.splitlines()[0].startswith("USER")
    assert "mina" in table
    assert [(each["username"], each["cost"]) for each in as_json] == [("mina", "0.001500")]
    (row,) = csv.DictReader(io.StringIO(as_csv))
    assert (row["username"], row["total_tokens"], row["cost"]) == ("mina", "15", "0.001500")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_is_computed(run, start):
    """A10."""
    used(f"{start}cmd|x")

    out = run("usage", "report", "--by", "model", "--format", "csv")[1]

    (row,) = csv.DictReader(io.StringIO(out, newline=""))
    assert row["model"] == f"'{start}cmd|x"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--from", "2026-02-30"), 1),
        (("--by", "purpose"), 1),
        (("--from", "2026-02-01", "--to", "2026-01-01"), 1),
        (("--from", "2020-01-01", "--to", "2026-01-01"), 1),
        (("--to", "1999-01-01"), 1),
    ],
)
def test_a_report_of_no_days_is_refused(run, words, code):
    assert run("usage", "report", *words)[0] == code


def test_an_audit_says_whether_the_books_agree(run, mina):
    SubjectLimit.objects.create(
        kind="user", subject_id=str(mina.pk), metric="tokens", period="day", amount=10**6
    )
    end(begin(Payer(mina.pk)), 100, 200)
    assert answer(run("audit_usage", "--format", "json"))["agree"]
    Window.objects.filter(kind="user").update(used=5)

    code, out, err = run("audit_usage")
    assert (code, "300" in out, bool(err)) == (1, True, True)
    code, out, _err = run("audit_usage", "--format", "json")
    assert (code, json.loads(out)["differences"][0]["used_by_ledger"]) == (1, 300)
    assert answer(run("audit_usage", "--repair", "--format", "json"))["repaired"]
    assert run("audit_usage")[0] == 0


def test_nobody_is_needed_to_report(run):
    assert not User.objects.get_queryset().exists()
    assert run("usage", "report")[0] == 0
