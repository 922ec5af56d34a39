"""Changing the password: this device stays, all others go (S3, S8, S9, S19)."""

from __future__ import annotations

from unittest import mock

import pytest

from accounts.models import User
from accounts.services import profile
from common.errors import Conflict
from tests.accounts.conftest import PASSWORD, Api, problem

pytestmark = pytest.mark.django_db

NEW = "another fine password"


def change(phone, old=PASSWORD, new=NEW):
    return phone.call(
        "POST", "users/me/change-password", {"old_password": old, "new_password": new}
    )


@pytest.mark.row("S3", "S19")
def test_this_device_stays_and_all_others_go(mina, person, device):
    """Access tokens too, on their next request."""
    phone, tablet, other = device(mina), device(mina), device(person("olga"))

    answer = change(phone)

    assert (answer.status_code, answer.content) == (204, b"")
    assert phone.works()
    assert not tablet.works()
    assert Api().post("auth/refresh", {"refresh_token": phone.refresh}).status_code == 200
    assert Api().post("auth/refresh", {"refresh_token": tablet.refresh}).status_code == 401
    assert other.works()
    assert Api().login("mina", NEW).status_code == 200
    assert Api().login("mina", PASSWORD).status_code == 401


@pytest.mark.row("S8")
def test_a_wrong_old_password_counts_as_a_failure(mina, device):
    """A stolen token is no way to guess the password."""
    phone = device(mina)
    answers = [change(phone, old="wrong") for _ in range(6)]

    assert {problem(answer) for answer in answers[:5]} == {(401, "invalid_credentials")}
    assert problem(answers[5]) == (429, "locked_out")
    assert problem(change(phone)) == (429, "locked_out")
    assert phone.works()


@pytest.mark.row("S9", "S15")
@pytest.mark.parametrize("new", ["short77", "password", "mina@example.org", "x" * 129])
def test_a_weak_new_one_is_refused(mina, device, new):
    answer = change(device(mina), new=new)

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == ["new_password"]


@pytest.mark.row("S9")
@pytest.mark.parametrize("field", ["old", "new"])
def test_an_endless_one_never_reaches_the_hasher(mina, device, field):
    with (
        mock.patch("accounts.services.passwords.verify_password") as verify,
        mock.patch("accounts.services.passwords.make_password") as make,
    ):
        answer = change(device(mina), **{field: "x" * 1_000_000})

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == [f"{field}_password"]
    assert not verify.called
    assert not make.called


def test_of_two_changes_at_once_the_second_is_told(mina):
    first, second = User.objects.get(), User.objects.get()
    profile.store_password(first, NEW, actor=None)

    with pytest.raises(Conflict):
        profile.store_password(second, "third fine password", actor=None)

    assert Api().login("mina", NEW).status_code == 200
