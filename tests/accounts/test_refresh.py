"""Staying signed in: refresh tokens work once, and a thief ends the family (S1, S2, S5)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import SignIn, User
from accounts.services import people
from tests.accounts.conftest import Api, at_once, problem

pytestmark = pytest.mark.django_db


def refresh(token):
    return Api().post("auth/refresh", {"refresh_token": token})


def test_a_refresh_gives_new_tokens_that_work(mina, device):
    phone = device(mina)

    answer = refresh(phone.refresh)

    assert answer.status_code == 200
    assert answer.json()["user"]["username"] == "mina"
    assert answer.json()["expires_in"] == 1800
    assert answer.json()["refresh_token"] != phone.refresh
    phone.take(answer)
    assert phone.works()


def test_the_chain_goes_on(mina, device):
    phone = device(mina)

    for _ in range(3):
        answer = refresh(phone.refresh)
        assert answer.status_code == 200
        phone.take(answer)

    assert SignIn.objects.count() == 1


@pytest.mark.row("S1")
def test_a_token_used_before_kills_the_family_and_its_access_tokens(mina, device):
    phone, tablet = device(mina), device(mina)
    stolen = phone.refresh
    phone.take(refresh(phone.refresh))
    assert phone.works()

    reused = refresh(stolen)

    assert problem(reused) == (401, "token_invalid")
    assert not phone.works()
    assert problem(refresh(phone.refresh)) == (401, "token_invalid")
    assert tablet.works()


@pytest.mark.row("S1")
@pytest.mark.django_db(transaction=True)
def test_of_twenty_refreshes_at_once_one_wins_and_all_die(person, device):
    """Rotation is one conditional UPDATE."""
    phone = device(person("mina"))

    answers = at_once(20, lambda _: refresh(phone.refresh))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    winner = next(answer for answer in answers if answer.status_code == 200)
    phone.take(winner)
    assert not phone.works()
    assert problem(refresh(phone.refresh)) == (401, "token_invalid")


@pytest.mark.row("S2")
def test_a_deleted_person_refreshes_nothing(mina, device):
    phone = device(mina)
    User.objects.all().delete()

    assert problem(refresh(phone.refresh)) == (401, "token_invalid")


@pytest.mark.row("S2", "S3")
def test_a_suspended_person_refreshes_nothing_even_when_back(mina, device):
    phone = device(mina)
    people.suspend(mina, actor=None)
    assert problem(refresh(phone.refresh)) == (401, "token_invalid")

    people.activate(mina, actor=None)

    assert problem(refresh(phone.refresh)) == (401, "token_invalid")
    assert not phone.works()


@pytest.mark.row("S2")
def test_a_person_set_inactive_by_hand_refreshes_nothing(mina, device):
    """Whoever writes the flag, it counts."""
    phone = device(mina)
    User.objects.update(is_active=False)

    assert problem(refresh(phone.refresh)) == (401, "token_invalid")
    assert not phone.works()


@pytest.mark.row("S5", "F17")
def test_an_access_token_lives_half_an_hour(mina, device):
    """F17: 30 minutes, and 30 seconds for clocks that differ."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        phone = device(mina)
        clock.shift(timedelta(minutes=30, seconds=29))
        assert phone.works()
        clock.shift(timedelta(seconds=1))

        answer = phone.call("GET", "users/me")

    assert problem(answer) == (401, "token_invalid")


@pytest.mark.row("S5")
def test_a_refresh_token_lives_fourteen_days(mina, device):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        phone = device(mina)
        late = device(mina)
        clock.shift(timedelta(days=13, hours=23))
        answer = refresh(phone.refresh)
        clock.shift(timedelta(hours=2))

        assert answer.status_code == 200
        assert problem(refresh(late.refresh)) == (401, "token_invalid")


@pytest.mark.row("S5")
def test_a_family_lives_ninety_days_however_busy(mina, device):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        phone = device(mina)
        for _ in range(8):
            clock.shift(timedelta(days=11))
            phone.take(refresh(phone.refresh))
        clock.shift(timedelta(days=1, hours=23, minutes=50))
        answer = refresh(phone.refresh)
        assert answer.status_code == 200
        assert answer.json()["expires_in"] == 600  # no token outlives its family
        phone.take(answer)
        clock.shift(timedelta(minutes=11))

        assert not phone.works()
        assert problem(refresh(phone.refresh)) == (401, "token_invalid")


def test_logout_ends_this_device_alone(mina, device):
    phone, tablet = device(mina), device(mina)

    answer = Api().post("auth/logout", {"refresh_token": phone.refresh})

    assert (answer.status_code, answer.content) == (204, b"")
    assert not phone.works()
    assert problem(refresh(phone.refresh)) == (401, "token_invalid")
    assert tablet.works()


def test_logout_with_a_used_token_still_ends_the_family(mina, device):
    phone = device(mina)
    old = phone.refresh
    phone.take(refresh(old))

    assert Api().post("auth/logout", {"refresh_token": old}).status_code == 204

    assert not phone.works()


@pytest.mark.row("S6")
@pytest.mark.parametrize("path", ["auth/refresh", "auth/logout"])
@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "x" * 9_000, "é.é.é", "....", None, 5, {"a": "b"}]
)
def test_what_is_no_token_is_refused(mina, path, token):
    status, code = problem(Api().post(path, {"refresh_token": token}))

    assert (status, code) in {(401, "token_invalid"), (400, "invalid")}


@pytest.mark.row("S6")
@pytest.mark.parametrize("path", ["auth/refresh", "auth/logout"])
def test_an_access_token_is_no_refresh_token(mina, device, path):
    phone = device(mina)

    assert problem(Api().post(path, {"refresh_token": phone.access})) == (401, "token_invalid")
    assert phone.works()
