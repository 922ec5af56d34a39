"""A new e-mail address: the password, a click, and the old one is told (S12)."""

from __future__ import annotations

import re
from datetime import timedelta
from unittest import mock

import pytest
import time_machine
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from accounts.models import MailLink, User
from accounts.services import email_addresses, people, profile, recovery
from tests.accounts.conftest import PASSWORD, Api, link_in, problem

pytestmark = pytest.mark.django_db

NEW = "another fine password"


def change(device, mina, committed, **body):
    with committed():
        return device(mina).call("PATCH", "users/me", {"email": "new@example.org"} | body)


def link():
    letter = next(letter for letter in mail.outbox if letter.to == ["new@example.org"])
    ((uid, token),) = re.findall(r"/confirm-email\?uid=(\S+)&token=(\S+)", str(letter.body))
    return {"uid": uid, "token": token}


@pytest.mark.row("S12")
def test_a_new_address_needs_the_password(mina, device, committed):
    answer = change(device, mina, committed)

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == ["password"]
    assert not mail.outbox


def test_a_wrong_password_changes_nothing(mina, device, committed):
    answer = change(device, mina, committed, password="wrong")

    assert problem(answer) == (401, "invalid_credentials")
    assert not mail.outbox
    assert User.objects.get().pending_email == ""


@pytest.mark.row("S12")
def test_it_counts_once_it_is_confirmed(mina, device, committed):
    """A click in the new mailbox; the old one is told, before and after."""
    answer = change(device, mina, committed, password=PASSWORD)

    assert answer.json()["email"] == "mina@example.org"
    assert Api().login("new@example.org").status_code == 401
    assert sorted(letter.to[0] for letter in mail.outbox) == ["mina@example.org", "new@example.org"]

    with committed():
        page = Client().post("/confirm-email", link())

    assert page.status_code == 200
    user = User.objects.get()
    assert (user.email, user.email_key, user.pending_email) == (
        "new@example.org",
        "new@example.org",
        "",
    )
    assert user.email_verified_at is not None
    assert Api().login("new@example.org").status_code == 200
    assert Api().login("mina@example.org").status_code == 401
    assert mail.outbox[-1].to == ["mina@example.org"]
    assert "token" not in mail.outbox[-1].body


@pytest.mark.row("S12")
def test_an_unconfirmed_address_resets_no_password(mina, device, committed):
    """It is used for nothing but verifying it."""
    change(device, mina, committed, password=PASSWORD)
    mail.outbox.clear()

    with committed():
        Api().post("auth/forgot-password", {"email": "new@example.org"})

    assert not mail.outbox


def test_looking_at_the_link_confirms_nothing(mina, device, committed):
    change(device, mina, committed, password=PASSWORD)

    page = Client().get("/confirm-email", link())

    assert page.status_code == 200
    assert "new@example.org" in page.content.decode()
    assert User.objects.get().email == "mina@example.org"


def test_a_link_works_once_and_for_a_day(mina, device, committed):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        change(device, mina, committed, password=PASSWORD)
        given = link()
        clock.shift(timedelta(days=1))
        assert Client().post("/confirm-email", given).status_code == 400
        clock.shift(timedelta(seconds=-1))
        assert Client().post("/confirm-email", given).status_code == 200
        assert Client().post("/confirm-email", given).status_code == 400


def test_a_second_wish_ends_the_first(mina, device, committed):
    change(device, mina, committed, password=PASSWORD)
    first = link()

    change(device, mina, committed, password=PASSWORD, email="newer@example.org")

    assert Client().post("/confirm-email", first).status_code == 400
    assert User.objects.get().email == "mina@example.org"


@pytest.mark.row("S12", "S14")
@pytest.mark.parametrize("event", ["password", "reset", "email", "suspension"])
def test_a_wish_for_another_address_dies_with_what_it_could_steal(
    mina, device, committed, forgot, event
):
    """A thief's confirm link must not outlive the way the person got rid of the thief."""
    change(device, mina, committed, password=PASSWORD)
    stolen = link()
    match event:
        case "password":
            profile.store_password(User.objects.get(), NEW, actor=None)
        case "reset":
            forgot()
            recovery.reset_password(**link_in(mail.outbox[-1])[1], password=NEW)
        case "email":
            email_addresses.change(User.objects.get(), "mina@example.com", actor=None)
        case _:
            people.suspend(User.objects.get(), actor=None)
            people.activate(User.objects.get(), actor=None)
    kept = User.objects.get().email

    assert Client().post("/confirm-email", stolen).status_code == 400

    user = User.objects.get()
    assert (user.email, user.pending_email) == (kept, "")
    assert not MailLink.objects.exists()


@pytest.mark.row("S12")
def test_a_link_that_survived_confirms_only_what_is_still_wanted(mina, device, committed):
    """A letter that was being written meanwhile makes a link after all others were ended."""
    change(device, mina, committed, password=PASSWORD)
    given = link()
    User.objects.update(pending_email="other@example.org")

    assert Client().post("/confirm-email", given).status_code == 400
    assert User.objects.get().email == "mina@example.org"


def test_the_present_address_takes_the_wish_back(mina, device, committed):
    change(device, mina, committed, password=PASSWORD)
    given = link()

    answer = change(device, mina, committed, email="mina@example.org")

    assert answer.status_code == 200
    assert User.objects.get().pending_email == ""
    assert Client().post("/confirm-email", given).status_code == 400
    assert User.objects.get().email == "mina@example.org"


@pytest.mark.row("S12")
def test_a_password_changed_meanwhile_voids_the_wish(mina, device, committed, monkeypatch):
    """Between the look at the password and the note of the address."""
    prove = email_addresses.confirm_password

    def prove_then_change(*args, **options):
        proof = prove(*args, **options)
        profile.store_password(User.objects.get(), NEW, actor=None)
        return proof

    monkeypatch.setattr(email_addresses, "confirm_password", prove_then_change)

    answer = change(device, mina, committed, password=PASSWORD)

    assert problem(answer) == (401, "invalid_credentials")
    assert User.objects.get().pending_email == ""
    assert not mail.outbox


@pytest.mark.row("S12")
@pytest.mark.parametrize("email", ["olga@example.org", "OLGA@example.org"])
def test_a_taken_address_is_refused(mina, person, device, committed, email):
    person("olga")

    answer = change(device, mina, committed, email=email, password=PASSWORD)

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == ["email"]


def test_an_address_taken_in_between_is_told(mina, person, device, committed):
    change(device, mina, committed, password=PASSWORD)
    person("olga", email="New@example.org")

    page = Client().post("/confirm-email", link())

    assert page.status_code == 400
    assert "belongs to another account" in page.content.decode()
    assert User.objects.get(username="mina").email == "mina@example.org"


def test_a_reset_link_does_not_confirm_nor_the_reverse(mina, device, committed):
    change(device, mina, committed, password=PASSWORD)
    given = link()

    answer = Api().post("auth/reset-password", given | {"password": NEW})

    assert problem(answer) == (401, "token_invalid")


def test_five_an_hour(mina, device, committed):
    answers = [
        change(device, mina, committed, email=f"n{number}@example.org", password=PASSWORD)
        for number in range(6)
    ]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]


def test_an_address_that_cannot_be_stored_for_another_reason_is_not_called_taken(mina):
    broken = IntegrityError("another constraint")
    with (
        mock.patch("accounts.services.audit.record", side_effect=broken),
        pytest.raises(IntegrityError, match="another constraint"),
    ):
        email_addresses.change(mina, "new@example.org", actor=None)
