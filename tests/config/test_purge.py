"""G5: what ages is dropped, and nothing else is."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.management import call_command
from django.utils import timezone

from accounts.models import MailLink, SignIn, SignInFailures
from accounts.models import Session as CookieSession
from accounts.services import registration, sign_ins
from chat.models import IdempotencyRecord, Turn
from common import purging
from common.digests import digest
from common.tasks import purge as purge_task

pytestmark = [pytest.mark.django_db, pytest.mark.row("G5")]


@pytest.fixture
def purge():
    def run(*words):
        out = io.StringIO()
        call_command("purge", *words, "--format", "json", stdout=out)
        return {each["what"]: each["rows"] for each in json.loads(out.getvalue())}

    return run


@pytest.fixture
def mina():
    return registration.create_person(
        username="mina", email="mina@example.org", password="correct-horse-9"
    )


def remember(key):
    turn = Turn.objects.create(purpose="chat", owner="test", model="m", status="complete")
    IdempotencyRecord.objects.create(
        sender="user:1", key=key, operation="chat", body_hash="x", turn=turn, answer={"a": 1}
    )


def leave_something_of_each(mina):
    sign_in = sign_ins.open_for(mina)
    CookieSession.objects.create(
        session_key="s" * 32,
        session_data="",
        sign_in=sign_in,
        expire_date=timezone.now() + timedelta(hours=12),
    )
    MailLink.objects.create(
        user=mina,
        purpose=MailLink.Purpose.RESET,
        digest=digest(str(sign_in.pk)),
        address=mina.email,
        expires_at=timezone.now() + timedelta(hours=1),
    )
    SignInFailures.objects.create(
        scope="address", subject=str(sign_in.pk), window_start=timezone.now(), count=1
    )
    remember(str(sign_in.pk))
    return sign_in


KINDS = (SignIn, CookieSession, MailLink, SignInFailures, IdempotencyRecord)


@pytest.mark.parametrize(
    ("age", "gone"),
    [
        (timedelta(minutes=59), set()),
        (timedelta(hours=2), {MailLink, SignInFailures}),
        (timedelta(hours=23), {MailLink, SignInFailures, CookieSession}),
        (timedelta(hours=25), {MailLink, SignInFailures, CookieSession, IdempotencyRecord}),
        (timedelta(days=14, minutes=1), set(KINDS)),
    ],
)
def test_each_thing_goes_when_its_time_is_over(mina, purge, age, gone):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        leave_something_of_each(mina)
        clock.shift(age)
        purge()

    assert {model for model in KINDS if not model.objects.exists()} == gone


def test_it_says_how_much_it_was_and_a_dry_run_drops_nothing(mina, purge):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        leave_something_of_each(mina)
        clock.shift(timedelta(days=15))
        foretold = purge("--dry-run")
        assert SignIn.objects.count() == 1

        told = purge()

    assert told == foretold
    assert told["idempotency answers"] == told["sign-ins"] == 1
    assert sum(purge().values()) == 0


def test_a_revoked_device_stays_for_a_day(mina, purge):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_ins.revoke(mina.pk, only=sign_ins.open_for(mina).pk)
        clock.shift(timedelta(hours=23))
        assert purge()["sign-ins"] == 0
        clock.shift(timedelta(hours=2))
        assert purge()["sign-ins"] == 1


def test_much_is_dropped_in_bounded_batches(purge, settings, monkeypatch):
    settings.PURGE_ROWS_AT_ONCE = 10
    batches = []

    def delete(rows):
        batches.append(rows.count())
        return purging.delete(rows)

    monkeypatch.setitem(
        purging._registered,  # noqa: SLF001
        "idempotency answers",
        purging.Ageing(
            "idempotency answers",
            purging._registered["idempotency answers"].rows,  # noqa: SLF001
            delete,
        ),
    )
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for number in range(25):
            remember(f"old-{number}")
        clock.shift(timedelta(hours=25))
        remember("new")

        assert purge()["idempotency answers"] == 25

    assert batches == [10, 10, 5]
    assert IdempotencyRecord.objects.get().key == "new"
    assert Turn.objects.count() == 26  # the turn itself is history, not an answer


def test_the_job_is_on_the_clock_and_does_the_same(mina):
    assert {each["task"] for each in django_settings.CELERY_BEAT_SCHEDULE.values()} >= {
        "common.tasks.purge"
    }
    with time_machine.travel(timezone.now(), tick=False) as clock:
        leave_something_of_each(mina)
        clock.shift(timedelta(days=15))

        purge_task()

    assert not any(model.objects.exists() for model in KINDS)
