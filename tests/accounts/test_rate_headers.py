"""Answers say how many requests are left: `RateLimit-Policy` and `RateLimit`, on refusals too."""

from __future__ import annotations

import pytest

from accounts.services import api_keys
from tests.accounts.conftest import Api, problem

pytestmark = pytest.mark.django_db


def test_an_answer_says_what_is_left_to_the_person(mina, device, settings):
    settings.RATES = settings.RATES | {"api_user": [(2, 60)]}
    phone = device(mina)

    answers = [phone.call("GET", "users/me") for _ in range(3)]

    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each["RateLimit-Policy"] for each in answers] == ['"api";q=2;w=60'] * 3
    assert [each["RateLimit"].partition(";t=")[0] for each in answers] == [
        '"api";r=1',
        '"api";r=0',
        '"api";r=0',
    ]
    assert problem(answers[2]) == (429, "rate_limited")
    assert answers[2]["Retry-After"] == answers[2]["RateLimit"].rpartition("=")[2]


def test_a_key_has_a_rate_of_its_own_beside_its_owner_s(mina, device, settings):
    settings.RATES = settings.RATES | {"api_key": [(1, 60)]}
    key = api_keys.create(mina, name="A program", scopes=["read"], actor=mina).text

    first, second = (Api().get("models", HTTP_AUTHORIZATION=f"Bearer {key}") for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 429)
    assert first["RateLimit-Policy"].endswith('"key";q=1;w=60')
    assert second["RateLimit"].partition('"key"')[2].startswith(";r=0;t=")
    assert device(mina).works()


def test_what_is_turned_off_neither_refuses_nor_tells(mina, device, settings):
    settings.RATES = settings.RATES | {"api_user": []}

    answer = device(mina).call("GET", "users/me")

    assert answer.status_code == 200
    assert "RateLimit" not in answer


def test_nobody_is_told_how_often_a_mailbox_was_asked_for(mina, forgot):
    answer = forgot()

    assert answer.status_code == 202
    assert '"api"' in answer["RateLimit-Policy"]
    assert "forgot" not in answer["RateLimit-Policy"]
