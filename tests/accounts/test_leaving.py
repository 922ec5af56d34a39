"""Erasing oneself (M5, S4; ARCHITECTURE 1)."""

from __future__ import annotations

import pytest

from accounts.models import MailLink, SignIn, User
from accounts.signals import user_erasing
from common.errors import Conflict
from tests.accounts.conftest import PASSWORD, Api, problem

pytestmark = pytest.mark.django_db


def leave(phone, password=PASSWORD):
    return phone.call("DELETE", "users/me", {"password": password})


def test_the_person_and_what_is_theirs_goes(mina, device, committed):
    phone = device(mina)
    with committed():
        Api().post("auth/forgot-password", {"email": mina.email})

    answer = leave(phone)

    assert (answer.status_code, answer.content) == (204, b"")
    assert not phone.works()
    for model in (User, SignIn, MailLink):
        assert not model.objects.exists()
    assert Api().login("mina").status_code == 401


def test_the_name_is_free_again(mina, device):
    leave(device(mina))

    answer = Api().post(
        "auth/register",
        {"username": "mina", "email": "mina@example.org", "password": PASSWORD},
    )

    assert answer.status_code == 201


@pytest.mark.parametrize("password", ["wrong", None])
def test_it_needs_the_password(mina, device, password):
    phone = device(mina)

    status, _code = problem(leave(phone, password))

    assert status in {400, 401}
    assert phone.works()


def test_other_apps_hear_it_inside_the_transaction(mina, device):
    """ARCHITECTURE 1: and one that fails keeps everything."""
    heard = []

    def hear(sender, *, user, **kwargs):
        heard.append(User.objects.filter(pk=user.pk).exists())
        if len(heard) == 1:
            raise Conflict

    user_erasing.connect(hear)
    phone = device(mina)

    assert problem(leave(phone)) == (409, "conflict")
    assert phone.works()
    assert leave(phone).status_code == 204
    assert heard == [True, True]


@pytest.mark.row("M5")
def test_the_last_administrator_stays(person, device):
    phone = device(person("root", roles=["admin"]))

    assert problem(leave(phone)) == (409, "conflict")

    person("second", roles=["admin"])
    assert leave(phone).status_code == 204
