"""Signing in with a name or an address and a password (S7, S8, S9)."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest
import redis
import time_machine
from django.contrib.auth import hashers
from django.core.cache import cache
from django.test import override_settings
from django.utils import timezone

from accounts.models import SignIn, SignInFailures, User
from common import rates
from tests.accounts.conftest import PASSWORD, Api, at_once, problem

pytestmark = pytest.mark.django_db

NEWER = "django.contrib.auth.hashers.MD5PasswordHasher"
OLDER = "django.contrib.auth.hashers.PBKDF2PasswordHasher"
WRONG = "not the password"


@pytest.mark.parametrize(
    "name", ["mina", "MINA", "\uff4dina", "mina@example.org", "Mina@Example.ORG"]
)
def test_a_name_and_an_address_open_the_door_in_any_case(api, mina, name):
    answer = api.login(name)

    assert answer.status_code == 200
    body = answer.json()
    assert body["user"]["id"] == str(mina.pk)
    me = api.get("users/me", HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert me.status_code == 200


def test_the_address_may_come_under_its_own_name(api, mina):
    answer = api.post("auth/login", {"email": mina.email, "password": PASSWORD})

    assert answer.status_code == 200


def test_a_name_that_is_null_is_one_that_was_left_out(api, mina):
    by_address = api.post(
        "auth/login", {"username": None, "email": mina.email, "password": PASSWORD}
    )
    by_name = api.post("auth/login", {"username": "mina", "email": None, "password": PASSWORD})
    by_none = api.post("auth/login", {"username": None, "email": None, "password": PASSWORD})

    assert (by_address.status_code, by_name.status_code) == (200, 200)
    assert problem(by_none) == (400, "invalid")


@pytest.mark.row("S18")
def test_a_sign_in_leaves_a_device_and_no_cookie(api, mina):
    """JSON sign-in sets no cookie."""
    answer = api.client.post(
        "/api/v1/auth/login",
        {"username": "mina", "password": PASSWORD},
        content_type="application/json",
        headers={"user-agent": "curl/8\x1b[31m"},
    )

    sign_in = SignIn.objects.get()
    assert not answer.cookies
    assert (sign_in.user_id, sign_in.client, sign_in.address) == (
        mina.pk,
        "curl/8[31m",
        "203.0.113.7",
    )
    mina.refresh_from_db()
    assert mina.last_login is not None


@pytest.mark.row("S7")
def test_all_refusals_are_one_answer(api, person):
    """Unknown name, wrong password, suspended, no password: alike in status and body."""
    person("mina")
    person("gone", is_active=False)
    User.objects.create_user("bare", "bare@example.org")

    answers = [
        api.login("nobody"),
        api.login("nobody@example.org"),
        api.login("mina", WRONG),
        api.login("gone"),
        api.login("bare"),
    ]

    assert {problem(answer) for answer in answers} == {(401, "invalid_credentials")}
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)


@pytest.mark.row("S7")
@pytest.mark.parametrize("name", ["nobody", "mina", "gone", "bare"])
def test_every_refusal_costs_exactly_one_hash(api, person, name):
    """The clock tells nothing, because the work is the same."""
    person("mina")
    person("gone", is_active=False)
    User.objects.create_user("bare", "bare@example.org")
    real = hashers.MD5PasswordHasher.encode
    with mock.patch.object(
        hashers.MD5PasswordHasher, "encode", autospec=True, side_effect=real
    ) as encode:
        api.login(name, WRONG)

    assert encode.call_count == 1


@pytest.mark.row("S8")
def test_the_sixth_wrong_password_is_not_looked_at(api, mina):
    answers = [api.login("mina", WRONG) for _ in range(5)]
    sixth = api.login("mina")

    assert {problem(answer) for answer in answers} == {(401, "invalid_credentials")}
    assert problem(sixth) == (429, "locked_out")
    assert 0 < int(sixth["Retry-After"]) <= 900


@pytest.mark.row("S7", "S8")
def test_a_name_that_nobody_has_locks_like_any_other(api, mina):
    """The lock tells no name from another."""
    for _ in range(5):
        api.login("nobody")

    assert problem(api.login("nobody")) == (429, "locked_out")
    assert api.login("mina").status_code == 200


@pytest.mark.row("S7", "S8")
def test_a_suspended_person_is_counted_like_any_other(api, person):
    """The right password of a suspended person is a failure, too."""
    person("gone", is_active=False)
    for _ in range(5):
        assert problem(api.login("gone")) == (401, "invalid_credentials")

    assert problem(api.login("gone")) == (429, "locked_out")


@pytest.mark.row("S8")
def test_the_owner_gets_in_from_elsewhere(api, mina):
    """Nobody can lock somebody else out."""
    for _ in range(6):
        api.login("mina", WRONG)

    assert Api("198.51.100.9").login("mina").status_code == 200


@pytest.mark.row("S8")
def test_what_redis_and_this_process_forget_is_still_counted(api, mina, settings):
    """The counts are in the database."""
    for _ in range(5):
        api.login("mina", WRONG)

    rates.forget_everything()
    cache.clear()
    if settings.REDIS_URL:
        redis.Redis.from_url(settings.REDIS_URL).flushdb()

    assert problem(api.login("mina")) == (429, "locked_out")


@pytest.mark.row("S8")
def test_how_many_failures_are_too_many(settings):
    assert settings.SIGN_IN_FAILURES == {
        "account_address": (5, 900),
        "account": (50, 3_600),
        "address": (100, 3_600),
    }


@pytest.mark.row("S8")
def test_a_name_and_its_address_share_one_count(api, mina):
    """Two spellings are no two sets of tries."""
    for name in ("mina", "mina@example.org", "MINA", "Mina@example.org", "mina"):
        api.login(name, WRONG)

    assert problem(api.login("mina")) == (429, "locked_out")


@pytest.mark.row("S8")
def test_the_door_opens_again_after_a_quarter_of_an_hour(api, mina):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(5):
            api.login("mina", WRONG)
        locked = api.login("mina")
        clock.shift(timedelta(seconds=int(locked["Retry-After"]) - 1))
        still = api.login("mina")
        clock.shift(timedelta(seconds=1))
        opened = api.login("mina")

    assert problem(locked) == problem(still) == (429, "locked_out")
    assert int(still["Retry-After"]) == 1
    assert opened.status_code == 200


def test_a_locked_door_says_how_long_by_its_own_clock(api, mina, settings):
    """A hundred failures lock an address for an hour; a new password opens neither lock."""
    settings.SIGN_IN_FAILURES = settings.SIGN_IN_FAILURES | {"address": (6, 3600)}
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(5):
            api.login("mina", WRONG)
        by_account = [api.login("mina").json()["detail"]]
        clock.shift(timedelta(minutes=14))
        by_account.append(api.login("mina").json()["detail"])
        api.login("olga", WRONG)
        by_address = api.login("ada").json()["detail"]

    assert by_account == ["Too many tries. Wait 15 minutes.", "Too many tries. Wait 1 minute."]
    assert by_address == "Too many tries. Wait 46 minutes."


def test_a_door_that_is_opened_while_somebody_knocks_is_told_as_shut_for_a_moment(api, mina):
    """An operator deletes the count between the refusal and the look at its clock."""
    for _ in range(5):
        api.login(password=WRONG)

    def opened(*_words, **_more):
        SignInFailures.objects.all().delete()

    with mock.patch("accounts.services.audit.record", side_effect=opened):
        answer = api.login()

    assert problem(answer) == (429, "locked_out")
    assert answer["Retry-After"] == "1"
    assert api.login().status_code == 200


@pytest.mark.row("S8")
def test_a_right_password_is_no_failure(api, mina):
    """The count that was taken before the hasher ran is given back."""
    for _ in range(12):
        assert api.login("mina").status_code == 200

    assert set(SignInFailures.objects.values_list("count", flat=True)) == {0}


@pytest.mark.row("S8")
def test_a_hundred_failures_from_one_address_lock_it_for_everyone(api, mina, settings):
    """Unknown names count for the address too; the answer is `locked_out`."""
    settings.SIGN_IN_FAILURES = settings.SIGN_IN_FAILURES | {"address": (10, 3600)}
    for number in range(10):
        assert problem(api.login(f"nobody{number}")) == (401, "invalid_credentials")

    locked = api.login("mina")

    assert problem(locked) == (429, "locked_out")
    assert 3500 < int(locked["Retry-After"]) <= 3600
    assert Api("198.51.100.9").login("mina").status_code == 200


@pytest.mark.row("R2")
def test_the_addresses_of_one_household_count_as_one(mina):
    """R2: an IPv6 /64 is one address."""
    answers = [Api(f"2001:db8:1:2::{number}").login("mina", WRONG) for number in range(1, 7)]

    assert problem(answers[5]) == (429, "locked_out")
    assert Api("2001:db8:1:3::1").login("mina").status_code == 200


@pytest.mark.row("S8")
def test_fifty_failures_on_an_account_make_it_slow_and_lock_nobody_out(mina, settings):
    """Per account, delays only. `test_slowed_sign_in.py` says how that goes."""
    settings.SIGN_IN_FAILURES = settings.SIGN_IN_FAILURES | {"account": (3, 3600)}
    settings.SIGN_IN_DELAY_SECONDS = 17
    with mock.patch("common.pacing.hold_back") as hold_back:
        for number in range(3):
            Api(f"198.51.100.{number}").login("mina", WRONG)
        assert not hold_back.called

        answer = Api("198.51.100.77").login("mina")

    assert answer.status_code == 200
    hold_back.assert_called_once_with(17)


def test_what_is_counted_names_nobody(api, mina):
    """People type passwords into the field for the name."""
    api.login("my secret password", WRONG)

    stored = " ".join(str(row) for row in SignInFailures.objects.values_list())
    assert "secret" not in stored
    assert "203.0.113.7" not in stored


@pytest.mark.row("S8")
@pytest.mark.django_db(transaction=True)
def test_of_twenty_guesses_at_once_five_are_checked(person):
    """The count is raised before the hasher runs, by a conditional UPDATE."""
    person("mina")
    checked = []
    real = hashers.verify_password

    def verify(password, encoded):
        checked.append(password)
        return real(password, encoded)

    with mock.patch("accounts.services.passwords.verify_password", verify):
        answers = at_once(20, lambda _: Api().login("mina", WRONG))

    assert len(checked) == 5
    codes = sorted(problem(answer) for answer in answers)
    assert codes == [(401, "invalid_credentials")] * 5 + [(429, "locked_out")] * 15


@pytest.mark.row("S8")
@pytest.mark.django_db(transaction=True)
def test_many_right_passwords_at_once_all_get_in(person, settings):
    """The count must not refuse its owner, nor be left behind."""
    settings.SIGN_IN_FAILURES = settings.SIGN_IN_FAILURES | {"account_address": (50, 900)}
    person("mina")

    answers = at_once(8, lambda _: Api().login("mina"))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert set(SignInFailures.objects.values_list("count", flat=True)) == {0}


@pytest.mark.row("S9")
@pytest.mark.parametrize("password", ["x" * 129, "長" * 171, "x" * 1_000_000])
def test_an_endless_password_never_reaches_the_hasher(api, mina, password):
    """128 characters, 512 bytes."""
    with mock.patch("accounts.services.passwords.verify_password") as verify:
        answer = api.login("mina", password)

    assert problem(answer) == (400, "invalid")
    assert not verify.called
    assert not SignInFailures.objects.exists()


@pytest.mark.row("S9")
def test_the_longest_password_is_taken(api, person):
    """The bound is no shorter than said."""
    longest = "长密码" * 42 + "ab"  # 128 characters
    person("mina", password=longest)

    assert api.login("mina", longest).status_code == 200
    assert problem(api.login("mina", longest[:-1] + "c")) == (401, "invalid_credentials")


def test_an_old_hash_is_renewed_when_its_owner_comes(api, mina):
    with override_settings(PASSWORD_HASHERS=[OLDER]):
        User.objects.filter(pk=mina.pk).update(password=hashers.make_password(PASSWORD))

    with override_settings(PASSWORD_HASHERS=[NEWER, OLDER]):
        assert api.login("mina").status_code == 200
        assert api.login("mina").status_code == 200

    mina.refresh_from_db()
    assert mina.password.startswith("md5$")


@pytest.mark.row("S3")
def test_a_password_changed_while_it_was_checked_opens_nothing(api, mina):
    """The door that was knocked at has another lock by now."""
    real = hashers.verify_password

    def slow(password, encoded):
        verdict = real(password, encoded)
        User.objects.filter(pk=mina.pk).update(password=hashers.make_password("another one 77"))
        return verdict

    with mock.patch("accounts.services.passwords.verify_password", slow):
        answer = api.login("mina")

    assert problem(answer) == (401, "invalid_credentials")
    assert not SignIn.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "mina"},
        {"password": "x"},
        {"username": "", "password": "x"},
        [],
        b"{",
        b"null",
        {"username": {"a": 1}, "password": "x"},
        {"username": "mina", "password": None},
    ],
)
def test_half_a_sign_in_is_invalid(api, mina, body):
    assert problem(api.post("auth/login", body)) == (400, "invalid")
    assert not SignInFailures.objects.exists()


def test_a_stale_token_does_not_stand_in_the_way(api, mina):
    answer = api.post(
        "auth/login",
        {"username": "mina", "password": PASSWORD},
        HTTP_AUTHORIZATION="Bearer stale",
    )

    assert answer.status_code == 200
