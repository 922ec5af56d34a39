"""Back in without the password (S9, S13, S14)."""

from __future__ import annotations

import re
from datetime import timedelta
from unittest import mock

import pytest
import time_machine
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.utils import timezone

from accounts.models import MailLink, OutgoingMail, User
from accounts.services import email_addresses, people, profile, recovery
from tests.accounts.conftest import PASSWORD, Api, at_once, link_in, problem

pytestmark = pytest.mark.django_db

NEW = "another fine password"


def reset(link, password=NEW):
    return Api().post("auth/reset-password", link | {"password": password})


def test_the_letter_holds_one_link_that_sets_a_new_password(mina, forgot, settings):
    answer = forgot()

    assert (answer.status_code, answer.content) == (202, b"")
    (letter,) = mail.outbox
    assert letter.to == ["mina@example.org"]
    assert len(re.findall(r"https?://\S*token", str(letter.body))) == 1
    address, given = link_in(letter)
    assert address.startswith(f"{settings.PUBLIC_URL}/reset-password?uid=")
    assert reset(given).status_code == 204
    assert Api().login("mina", NEW).status_code == 200
    assert problem(Api().login("mina", PASSWORD)) == (401, "invalid_credentials")


@pytest.mark.row("S3", "S19")
def test_a_reset_signs_every_device_out(mina, device, link):
    phone = device(mina)
    assert phone.works()

    reset(link)

    assert not phone.works()
    assert problem(Api().post("auth/refresh", {"refresh_token": phone.refresh})) == (
        401,
        "token_invalid",
    )


@pytest.mark.row("S14")
def test_a_link_works_once(link):
    assert reset(link).status_code == 204

    assert problem(reset(link, "yet another one 5")) == (401, "token_invalid")
    assert Api().login("mina", NEW).status_code == 200


@pytest.mark.row("S14")
def test_an_hour_later_it_is_too_old(mina, forgot):
    """60 minutes."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        forgot()
        first = link_in(mail.outbox[0])[1]
        clock.shift(timedelta(minutes=59, seconds=59))
        recovery.find_link(MailLink.Purpose.RESET, **first)
        clock.shift(timedelta(seconds=1))

        assert problem(reset(first)) == (401, "token_invalid")


@pytest.mark.row("S14")
@pytest.mark.parametrize("event", ["password", "email", "suspension", "other link"])
def test_links_die_with_what_they_were_to_save(mina, forgot, link, event):
    """Password change, e-mail change, suspension; and the other links of a used one."""
    match event:
        case "password":
            profile.store_password(User.objects.get(), "changed in between", actor=None)
        case "email":
            email_addresses.change(User.objects.get(), "new@example.org", actor=None)
        case "suspension":
            people.suspend(mina, actor=None)
            people.activate(mina, actor=None)
        case _:
            forgot()
            assert reset(link_in(mail.outbox[-1])[1]).status_code == 204

    assert problem(reset(link)) == (401, "token_invalid")


@pytest.mark.parametrize(
    "change",
    [
        {"token": "x"},
        {"token": "é" * 43},
        {"uid": "x"},
        {"uid": "00000000-0000-7000-8000-000000000000"},
    ],
)
def test_half_a_link_opens_nothing(link, change):
    assert problem(reset(link | change)) == (401, "token_invalid")
    assert reset(link).status_code == 204


def test_a_link_is_good_for_its_own_person(link, person):
    other = person("olga")

    assert problem(reset(link | {"uid": str(other.pk)})) == (401, "token_invalid")


@pytest.mark.row("S9", "S15")
@pytest.mark.parametrize("password", ["short77", "password", "mina1234@example", "x" * 129])
def test_a_weak_password_is_refused_and_the_link_stays_good(link, password):
    answer = reset(link, password if password != "mina1234@example" else "mina@example.org")

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == ["password"]
    assert reset(link).status_code == 204


@pytest.mark.row("S9")
def test_an_endless_password_is_not_hashed(link):
    with mock.patch("accounts.services.passwords.make_password") as hashing:
        answer = reset(link, "x" * 1_000_000)

    assert problem(answer) == (400, "invalid")
    assert not hashing.called


@pytest.mark.row("S14")
def test_known_and_unknown_addresses_cost_the_same(mina, forgot, person, django_assert_num_queries):
    """The answer, and the work before it; who it is comes out in the task alone."""
    person("gone", is_active=False)
    for email in ("mina@example.org", "nobody@example.org", "gone@example.org"):
        with django_assert_num_queries(3):  # savepoint, insert, release
            answer = Api().post("auth/forgot-password", {"email": email})
        assert (answer.status_code, answer.content) == (202, b"")
        assert OutgoingMail.objects.get(address=email).user_id is None


@pytest.mark.parametrize("email", ["nobody@example.org", "gone@example.org", "no address at all"])
def test_nobody_gets_a_letter_who_is_nobody_here(person, forgot, email):
    person("gone", is_active=False)

    assert forgot(email).status_code == 202

    assert not mail.outbox
    assert not OutgoingMail.objects.exists()


@pytest.mark.row("S12")
def test_mail_goes_to_the_stored_address(person, forgot):
    """CVE-2019-19844. What was typed folds to it but is another mailbox."""
    person("bob", email="bob@exampleß.org")

    forgot("BOB@exampleSS.org")

    assert [letter.to for letter in mail.outbox] == [["bob@exampleß.org"]]


@pytest.mark.row("S14")
def test_three_letters_an_hour_and_always_the_same_answer(mina, forgot):
    """3 per hour and address; over the limit still 202."""
    answers = [forgot(api=Api(f"198.51.100.{number}")) for number in range(20)]

    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"")}
    assert len(mail.outbox) == 3


@pytest.mark.row("S14")
def test_the_limit_of_an_address_has_no_spellings(mina, forgot):
    for number, email in enumerate(
        ["mina@example.org", "MINA@example.org", "mina@EXAMPLE.org", "Mina@example.org"]
    ):
        forgot(email, api=Api(f"198.51.100.{number}"))

    assert len(mail.outbox) == 3


@pytest.mark.row("S14")
def test_ten_an_hour_from_one_place(person, forgot):
    """10 per IP."""
    for number in range(11):
        person(f"user{number}")

    answers = [forgot(f"user{number}@example.org") for number in range(11)]

    assert {answer.status_code for answer in answers} == {202}
    assert len(mail.outbox) == 10


@pytest.mark.row("S13")
@pytest.mark.parametrize(
    "header",
    [
        {"HTTP_X_FORWARDED_HOST": "evil.example"},
        {"HTTP_FORWARDED": "host=evil.example"},
        {"HTTP_HOST": "localhost"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
    ],
)
def test_links_are_built_from_public_url(mina, forgot, settings, header):
    settings.PUBLIC_URL = "https://parley.example.org"

    assert forgot(**header).status_code == 202

    assert link_in(mail.outbox[0])[0].startswith("https://parley.example.org/reset-password?")
    assert "evil" not in mail.outbox[0].body


@pytest.mark.row("S13")
def test_a_foreign_host_is_refused(mina, forgot):
    assert forgot(HTTP_HOST="evil.example").status_code == 400
    assert not mail.outbox


def test_the_letter_speaks_the_persons_language_and_names_them_in_one_line(person, forgot):
    """F21"""
    person("mina", display_name="Mina\r\nBcc: everyone@example.org", language="en")

    forgot()

    (letter,) = mail.outbox
    assert "Mina Bcc: everyone@example.org" in letter.body
    assert letter.recipients() == ["mina@example.org"]
    assert "\n" not in letter.subject


def test_no_token_lies_in_the_database(mina, forgot):
    forgot()
    _address, given = link_in(mail.outbox[0])

    stored = str(list(MailLink.objects.values_list())) + str(
        list(OutgoingMail.objects.values_list())
    )
    assert given["token"] not in stored


def test_who_follows_the_link_has_proved_the_address(mina, link):
    assert mina.email_verified_at is None

    reset(link)

    mina.refresh_from_db()
    assert mina.email_verified_at is not None


@pytest.mark.row("S14")
@pytest.mark.django_db(transaction=True)
def test_of_eight_uses_at_once_one_counts(person, settings):
    person("mina")
    Api().post("auth/forgot-password", {"email": "mina@example.org"})
    given = link_in(mail.outbox[0])[1]

    answers = at_once(8, lambda number: reset(given, f"password number {number}"))

    assert sorted(answer.status_code for answer in answers) == [204] + [401] * 7
    winner = [answer.status_code for answer in answers].index(204)
    assert Api().login("mina", f"password number {winner}").status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"email": None}, {"email": 5}, {"email": ""}, [], b"x", {"email": "x" * 255}]
)
def test_a_broken_request_is_invalid(body):
    assert problem(Api().post("auth/forgot-password", body)) == (400, "invalid")


@pytest.mark.row("S14")
def test_who_is_suspended_while_it_is_hashed_stays_outside(mina, link, monkeypatch):
    """The last look is inside the transaction."""
    real = make_password

    def slow(password):
        people.suspend(mina, actor=None)
        return real(password)

    monkeypatch.setattr("accounts.services.passwords.make_password", slow)

    assert problem(reset(link)) == (401, "token_invalid")
    before = mina.password
    mina.refresh_from_db()
    assert mina.password == before
