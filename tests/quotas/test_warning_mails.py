"""Whoever wants letters about their limits gets each of them once; nobody else gets any."""

from __future__ import annotations

import re

import pytest
from django.core import mail

from accounts import tasks as letters
from quotas import tasks
from quotas.models import Payer, Plan, QuotaWarning
from quotas.services import warning_mails
from tests.accounts.conftest import mina, person
from tests.chat.threads import all_at_once
from tests.quotas.rows import begin, end, limited

__all__ = ["mina", "person"]


@pytest.fixture(autouse=True)
def _no_standard_plan(_database):
    Plan.objects.all().delete()


def wants(user, choice=True, **fields):
    user.preferences = {"quota_mails": choice}
    for name, value in fields.items():
        setattr(user, name, value)
    user.save()


def use_up(user, period="day", tokens=800):
    limited("user", user.pk, "tokens", period, 1_000)
    end(begin(Payer(user.pk)), tokens - 1, 1)
    assert QuotaWarning.objects.filter(user_id=user.pk, mailed=False).exists()


def test_a_person_who_wants_it_is_written_to_once(mina):
    wants(mina)
    use_up(mina)

    for _ in range(2):
        tasks.mail_quota_warnings()
        letters.send_waiting_mail()

    (letter,) = mail.outbox
    assert letter.to == [mina.email]
    assert "80 %" in letter.subject
    assert "800 / 1000" in letter.body
    assert re.search(r"starts anew: .*20\d\d.*\(UTC\)", letter.body)
    assert "&" not in letter.body


def test_it_is_in_their_language_and_by_their_clock(mina):
    wants(mina, language="zh-hans", timezone="Asia/Shanghai")
    use_up(mina)

    tasks.mail_quota_warnings()
    letters.send_waiting_mail()

    (letter,) = mail.outbox
    assert "80 %" in letter.subject
    assert "限额" in letter.subject
    assert "CST" in letter.body


@pytest.mark.parametrize("choice", [False, None, "true", 1])
def test_nobody_else_is_written_to_neither_then_nor_later(mina, choice):
    wants(mina, choice)
    use_up(mina)

    assert warning_mails.mail_warnings() == 0
    wants(mina)
    assert warning_mails.mail_warnings() == 0

    assert not QuotaWarning.objects.filter(mailed=False).exists()


def test_nor_the_suspended_nor_anybody_about_a_minute(mina, person):
    olga = person("olga")
    wants(mina, is_active=False)
    wants(olga)
    use_up(mina)
    use_up(olga, "minute")

    assert warning_mails.mail_warnings() == 0
    assert not QuotaWarning.objects.filter(mailed=False).exists()


def test_a_limit_without_end_is_told_to_have_none(mina):
    wants(mina)
    use_up(mina, "total", 1_000)

    tasks.mail_quota_warnings()
    letters.send_waiting_mail()

    (letter,) = mail.outbox
    assert "100 %" in letter.subject
    assert "does not start anew" in letter.body


@pytest.mark.row("T7")
def test_of_several_workers_at_once_one_writes(mina):
    wants(mina)
    use_up(mina)

    outcomes = all_at_once([warning_mails.mail_warnings] * 6)

    assert sum(outcomes) == 1


def test_an_address_that_is_theirs_no_longer_gets_nothing(mina):
    wants(mina)
    use_up(mina)
    tasks.mail_quota_warnings()
    mail.outbox.clear()
    wants(mina, email="new@example.org")

    letters.send_waiting_mail()

    assert not mail.outbox
