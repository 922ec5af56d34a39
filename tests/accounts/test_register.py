"""Becoming a person of this deployment (S11, S12, S15)."""

from __future__ import annotations

from unittest import mock

import pytest
from django.db import IntegrityError
from django.test import override_settings

from accounts.models import User
from accounts.services import registration
from tests.accounts.conftest import PASSWORD, Api, at_once, problem

pytestmark = pytest.mark.django_db

NEWCOMER = {"username": "mina", "email": "mina@example.org", "password": PASSWORD}


def test_a_newcomer_gets_an_account_and_tokens_that_work(api):
    answer = api.post("auth/register", NEWCOMER)

    assert answer.status_code == 201
    body = answer.json()
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 1800
    user = User.objects.get()
    assert body["user"]["id"] == str(user.pk)
    assert user.pk.version == 7
    me = api.get("users/me", HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert me.json() == body["user"]
    assert me.json()["username"] == "mina"


def test_the_password_is_stored_only_as_a_hash(api):
    api.post("auth/register", NEWCOMER)

    assert PASSWORD not in User.objects.get().password


@pytest.mark.row("S15")
def test_the_first_account_of_an_empty_site_is_a_plain_member(api):
    body = api.post("auth/register", NEWCOMER).json()

    assert body["user"]["roles"] == ["member"]
    user = User.objects.get()
    assert not user.is_staff
    assert not user.is_superuser


@pytest.mark.row("A4", "S15")
def test_rights_that_a_newcomer_asks_for_are_not_stored(api):
    asked = {"is_staff": True, "is_superuser": True, "roles": ["admin"], "is_active": False}
    body = api.post("auth/register", NEWCOMER | asked).json()

    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)
    assert body["user"]["roles"] == ["member"]


@pytest.mark.row("S15")
@pytest.mark.parametrize("body", [NEWCOMER, {}, {"username": "x"}, b"{", b"[]"])
def test_a_closed_door_says_nothing_about_names(api, person, body):
    """`registration_closed` before any validation."""
    person("mina")

    with override_settings(REGISTRATION_OPEN=False):
        answer = api.post("auth/register", body)

    assert problem(answer) == (403, "registration_closed")
    assert "errors" not in answer.json()


def test_a_stored_setting_closes_the_door_too(api, settings):
    from constance import config  # noqa: PLC0415

    config.registration_open = False

    assert problem(api.post("auth/register", NEWCOMER)) == (403, "registration_closed")


@pytest.mark.row("S11")
@pytest.mark.parametrize(
    "username",
    [
        "admin\u200b",  # a space that nobody sees
        "\u0430dmin",  # begins with a Cyrillic letter
        "mina@example.org",
        "mi",
        "x" * 65,
        "\ufb03\ufb03",  # two characters before, six after normalisation
        "\ufdfa" * 5,  # five before, ninety after
        "mi na",
        "mina\n",
        "...",
        "me\u0301\u0302\u0303na\u0489",  # accents piled up
        "李mina",
        "",
    ],
)
def test_a_name_that_could_pass_for_another_is_refused(api, username):
    answer = api.post("auth/register", NEWCOMER | {"username": username})

    assert problem(answer) == (400, "invalid")
    assert "username" in answer.json()["errors"]
    assert not User.objects.exists()


@pytest.mark.row("S11")
@pytest.mark.parametrize("username", ["Admin", "ADMIN", "\uff41dmin", "\uff21\uff24min"])
def test_a_taken_name_is_taken_in_every_spelling(api, person, username):
    """Unique by casefold after NFKC."""
    person("admin")

    answer = api.post("auth/register", NEWCOMER | {"username": username})

    assert problem(answer) == (400, "invalid")
    assert "username" in answer.json()["errors"]


@pytest.mark.row("S11")
@pytest.mark.parametrize(
    "username",
    ["Łukasz", "аня.к", "李小龙", "たろうー", "김철수", "हिंदी", "Ελένη", "x_1-y.z", "שרה"],
)
def test_names_of_any_one_script_are_welcome(api, username):
    answer = api.post("auth/register", NEWCOMER | {"username": username})

    assert answer.status_code == 201
    assert answer.json()["user"]["username"] == username


@pytest.mark.row("S11")
def test_a_name_is_stored_normalised(api):
    answer = api.post("auth/register", NEWCOMER | {"username": "\uff4dina"})

    assert answer.json()["user"]["username"] == "mina"


@pytest.mark.row("S12")
@pytest.mark.parametrize("email", ["bob@X.example", "BOB@x.example", "bob@\uff58.example"])
def test_an_address_belongs_to_one_person_in_every_spelling(api, person, email):
    person("bob", email="Bob@x.example")

    answer = api.post("auth/register", NEWCOMER | {"email": email})

    assert problem(answer) == (400, "invalid")
    assert "email" in answer.json()["errors"]


@pytest.mark.parametrize(
    "email", ["", "mina", "a@b@c", "a b@example.org", "a@x\r\nBcc: y@z.org", "x" * 250 + "@a.io"]
)
def test_what_is_no_address_is_refused(api, email):
    """F21: nothing that would begin a header of its own."""
    answer = api.post("auth/register", NEWCOMER | {"email": email})

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == ["email"]


@pytest.mark.row("S9", "S15")
@pytest.mark.parametrize(
    "password",
    [
        "short77",
        "password",
        "12345678901",
        "mina@example.org",
        "x" * 129,
        "長" * 129,
        "\U0001f512" * 129,
    ],
)
def test_a_weak_or_endless_password_is_refused(api, password):
    answer = api.post("auth/register", NEWCOMER | {"password": password})

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == ["password"]


def test_all_that_is_wrong_is_told_at_once(api, person):
    person("mina")

    answer = api.post("auth/register", {"username": "mina", "email": "no", "password": "no"})

    assert sorted(answer.json()["errors"]) == ["email", "password", "username"]


@pytest.mark.parametrize("field", ["username", "email", "password"])
@pytest.mark.parametrize("value", [b"\\u0000abcdefgh", b"\\ud800abcdefgh"])
def test_nul_and_half_characters_are_refused(api, field, value):
    """I4"""
    body = b'{"%b": "%b"}' % (field.encode(), value)

    assert problem(api.post("auth/register", body)) == (400, "invalid")


@pytest.mark.parametrize("field", ["username", "email", "password"])
@pytest.mark.parametrize("value", [None, 7, ["x"], {"a": 1}, " "])
def test_a_broken_field_is_named(api, field, value):
    answer = api.post("auth/register", NEWCOMER | {field: value})

    assert problem(answer) == (400, "invalid")
    assert field in answer.json()["errors"]


@pytest.mark.row("S15")
def test_the_thirty_first_in_a_minute_waits(api):
    """R1: refused with the seconds to wait; another address may go on."""
    answers = [api.post("auth/register", {}) for _ in range(31)]

    assert {problem(answer) for answer in answers[:30]} == {(400, "invalid")}
    assert problem(answers[30]) == (429, "rate_limited")
    assert 0 < int(answers[30]["Retry-After"]) <= 60
    assert problem(Api("198.51.100.1").post("auth/register", {})) == (400, "invalid")


@pytest.mark.row("S15")
def test_an_hour_has_its_own_limit(api, settings):
    assert settings.RATES["register"] == [(30, 60), (300, 3_600)]
    settings.RATES = settings.RATES | {"register": [(30, 60), (3, 3_600)]}
    answers = [api.post("auth/register", {}) for _ in range(4)]

    assert {problem(answer) for answer in answers[:3]} == {(400, "invalid")}
    assert problem(answers[3]) == (429, "rate_limited")
    assert 60 < int(answers[3]["Retry-After"]) <= 3_600


@pytest.mark.row("S9")
def test_an_endless_password_is_not_hashed(api):
    with mock.patch("accounts.services.passwords.make_password") as hashing:
        answer = api.post("auth/register", NEWCOMER | {"password": "x" * 1_000_000})

    assert problem(answer) == (400, "invalid")
    assert not hashing.called
    assert not User.objects.exists()


@pytest.mark.row("S11")
@pytest.mark.django_db(transaction=True)
def test_of_twenty_who_want_one_name_at_once_one_gets_it():
    """The constraint decides, not the look before."""
    answers = at_once(
        8,
        lambda number: Api().post("auth/register", NEWCOMER | {"email": f"m{number}@example.org"}),
    )

    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 7
    assert all(
        list(answer.json()["errors"]) == ["username"]
        for answer in answers
        if answer.status_code == 400
    )
    assert User.objects.count() == 1


def test_a_row_that_cannot_be_stored_for_another_reason_is_no_taken_name():
    """It is a bug, and stays one: told as itself, it can be found."""
    broken = IntegrityError("another constraint")
    with (
        mock.patch("accounts.services.audit.record", side_effect=broken),
        pytest.raises(IntegrityError, match="another constraint"),
    ):
        registration.register(**NEWCOMER)

    assert not User.objects.exists()
