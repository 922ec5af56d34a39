"""Letters leave once, after the commit, and whatever happens in between (T6, T7, F4, F21)."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from datetime import timedelta
from smtplib import SMTPRecipientsRefused

import pytest
import time_machine
from django.core import mail
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import tasks
from accounts.models import Letter, MailLink, OutgoingMail, SignIn, SignInFailures
from accounts.models import Session as CookieSession
from accounts.services import lockout, mails
from common import purging
from common.db import write_transaction
from tests.accounts.conftest import Api, at_once

pytestmark = pytest.mark.django_db


def post(mina):
    mails.post(Letter.RESET, address=mina.email)
    return OutgoingMail.objects.get()


def test_nothing_leaves_before_the_commit(mina, committed):
    """T6"""
    with committed():
        post(mina)
        assert not mail.outbox

    assert len(mail.outbox) == 1
    assert not OutgoingMail.objects.exists()


@pytest.mark.row("T6")
@pytest.mark.django_db(transaction=True)
def test_nothing_leaves_after_a_rollback(person):
    """T6"""
    mina = person("mina")
    with transaction.atomic():
        post(mina)
        transaction.set_rollback(True)

    assert not mail.outbox
    assert not OutgoingMail.objects.exists()


@pytest.mark.row("T7")
def test_a_task_that_runs_twice_sends_once(mina):
    """T7"""
    letter = post(mina)

    tasks.send_mail(str(letter.pk))
    tasks.send_mail(str(letter.pk))

    assert len(mail.outbox) == 1


@pytest.mark.row("T7")
@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_once(person, monkeypatch):
    """T7: both have read the row before either claims it."""
    monkeypatch.setattr(tasks.send_mail, "apply_async", lambda *args, **options: None)
    letter = post(person("mina"))
    both_have_read = threading.Barrier(2)

    @contextmanager
    def together():
        both_have_read.wait(timeout=10)
        with write_transaction():
            yield

    monkeypatch.setattr("accounts.services.mails.write_transaction", together)
    at_once(2, lambda _: tasks.send_mail(str(letter.pk)))

    assert len(mail.outbox) == 1
    assert MailLink.objects.count() == 1


@pytest.mark.row("F4")
def test_a_lost_job_is_found_by_the_sweep(mina):
    """F4: the database holds the truth."""
    post(mina)

    tasks.send_waiting_mail()

    assert len(mail.outbox) == 1


def test_without_a_broker_the_request_succeeds(mina, monkeypatch, committed, caplog):
    """F4"""

    def refuse(*args, **options):
        raise OperationalError

    monkeypatch.setattr(tasks.send_mail, "apply_async", refuse)
    with committed():
        answer = Api().post("auth/forgot-password", {"email": mina.email})

    assert answer.status_code == 202
    assert OutgoingMail.objects.count() == 1
    assert "See to the Redis of REDIS_URL." in caplog.text


def test_a_mail_server_that_refuses_is_asked_again_later_and_not_for_ever(
    mina, monkeypatch, settings, caplog
):
    """T7; G1: the log says which letter, not to whom."""
    tries = []

    def refuse(self, fail_silently=False):
        tries.append(timezone.now())
        raise SMTPRecipientsRefused({mina.email: (550, b"no such mailbox")})

    monkeypatch.setattr("accounts.services.mails.EmailMessage.send", refuse)
    settings.MAIL_ATTEMPTS = 3
    post(mina)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(30):
            tasks.send_waiting_mail()
            clock.shift(timedelta(seconds=30))

    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(tries)]
    assert waits == [60, 120]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]
    told = [record.getMessage() for record in caplog.records]
    assert "try 2 of 3; it is sent again later." in told[1]
    assert "try 3 of 3: it is dropped. See to the mail server of EMAIL_URL." in told[2]
    assert "SMTPRecipientsRefused" in caplog.text
    assert mina.email not in caplog.text
    assert not OutgoingMail.objects.exists()


@pytest.mark.row("F21")
@pytest.mark.parametrize("text", ["a\r\nBcc: x@evil.example", "a\nb", "a\u2028b", " a  b "])
def test_line_breaks_leave_names_and_subjects(text):
    """F21"""
    line = mails.one_line(text)

    assert len(line.splitlines()) == 1


@pytest.mark.row("F21")
def test_a_subject_with_line_breaks_adds_no_header(mina, committed):
    mina.username = "Mina\r\nBcc: x@evil.example"
    mina.save()

    with committed():
        subject = "Plan a\r\nBcc: x@evil.example\r\n\r\nHi"
        mails.post_notice(mina, subject=subject, body="Hello")
        mails.post(Letter.RESET, address=mina.email)

    for letter in mail.outbox:
        sent = letter.message()
        assert sent["Bcc"] is None
        assert (sent["To"], letter.recipients()) == (mina.email, [mina.email])
        assert not any(line.startswith("Bcc:") for line in letter.body.splitlines())
    assert mail.outbox[0].message()["Subject"] == "Plan a Bcc: x@evil.example Hi"
    assert len(mail.outbox) == 2


def test_letters_go_out_in_the_persons_language(mina, committed):
    """Whatever the language of the request or of the worker."""
    mina.language = "zh-hans"
    mina.save()
    with committed():
        mails.post(Letter.EMAIL_CHANGED, address=mina.email, user=mina)
        assert OutgoingMail.objects.get().language == "zh-hans"


def test_a_confirmation_that_is_no_longer_wanted_is_dropped(mina, committed):
    with committed():
        mails.post(Letter.CONFIRM_EMAIL, address="new@example.org", user=mina)

    assert not mail.outbox
    assert not OutgoingMail.objects.exists()


def test_what_has_run_out_is_purged(mina, device):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        old = device(mina)
        tasks.send_mail(str(post(mina).pk))
        Api().login("nobody", "wrong")
        CookieSession.objects.create(
            session_key="k" * 32, session_data="x", expire_date=timezone.now() + timedelta(hours=1)
        )
        clock.shift(timedelta(days=15, hours=1))
        fresh = device(mina)
        purging.purge()

    assert [str(row.pk) for row in SignIn.objects.all()] == [fresh.sign_in_id]
    assert old.sign_in_id != fresh.sign_in_id
    for model in (MailLink, CookieSession, SignInFailures):
        assert not model.objects.exists()


def test_what_still_counts_is_kept(mina, device):
    phone = device(mina)
    Api().login("mina", "wrong")
    tasks.send_mail(str(post(mina).pk))

    purging.purge()

    assert phone.works()
    assert SignInFailures.objects.count() == 3
    assert MailLink.objects.count() == 1
    assert not lockout.outlived().exists()
