"""An API key's own limits: set as it is made, told of it, gone with it."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey
from accounts.services import people
from quotas.errors import QuotaExceeded
from quotas.models import Payer, SubjectLimit
from tests.accounts.conftest import device, mina, person, problem
from tests.quotas.rows import begin, limited

__all__ = ["device", "mina", "person"]

LIMITS = [
    {"metric": "requests", "period": "day", "limit": 2},
    {"metric": "cost", "period": "month", "limit": "12.500000"},
]


@pytest.fixture
def own(mina, device):
    return device(mina)


def make(own, **fields):
    made = own.call("POST", "api-keys", {"name": "A program"} | fields)
    assert made.status_code == 201, made.content
    return made.json()


def test_they_are_told_as_they_were_set(own):
    made = make(own, limits=LIMITS)

    assert made["limits"] == LIMITS
    (listed,) = own.call("GET", "api-keys").json()["results"]
    assert listed["limits"] == own.call("GET", f"api-keys/{made['id']}").json()["limits"] == LIMITS
    assert make(own)["limits"] == []


def test_they_count_for_this_key_beside_its_owner_s(own, mina):
    limited("user", mina.pk, "requests", "day", 3)
    first, second = (Payer(mina.pk, key_id=UUID(make(own, limits=LIMITS)["id"])) for _ in range(2))
    begin(first)
    begin(first)

    with pytest.raises(QuotaExceeded) as of_the_key:
        begin(first)
    begin(second)
    with pytest.raises(QuotaExceeded) as of_the_person:
        begin(second)

    assert of_the_key.value.extra["limit"]["subject"] == "key"
    assert of_the_person.value.extra["limit"]["subject"] == "user"


@pytest.mark.parametrize(
    "limits",
    [
        [{"metric": "requests", "period": "week", "limit": 2}],
        [{"metric": "words", "period": "day", "limit": 2}],
        [{"metric": "requests", "period": "day", "limit": -1}],
        [{"metric": "requests", "period": "day", "limit": "many"}],
        [LIMITS[0], LIMITS[0]],
        [5],
        {},
        "5",
    ],
)
def test_what_is_no_limit_makes_no_key(own, limits):
    refused = own.call("POST", "api-keys", {"name": "A program", "limits": limits})

    assert problem(refused) == (400, "invalid")
    assert all(name.startswith("limits") for name in refused.json()["errors"])
    assert not ApiKey.objects.exists()
    assert not SubjectLimit.objects.exists()


def test_many_keys_are_listed_with_the_queries_of_one(own):
    make(own, limits=LIMITS)
    own.call("GET", "api-keys")
    with CaptureQueriesContext(connection) as one:
        own.call("GET", "api-keys")
    for _key in range(5):
        make(own, limits=LIMITS)

    with CaptureQueriesContext(connection) as many:
        assert len(own.call("GET", "api-keys").json()["results"]) == 6

    assert len(many) == len(one)


def test_they_go_with_the_key(own):
    made = make(own, limits=LIMITS)
    kept = make(own, limits=LIMITS[:1])

    assert own.call("DELETE", f"api-keys/{made['id']}").status_code == 204

    assert {each.subject_id for each in SubjectLimit.objects.all()} == {kept["id"]}


def test_they_go_with_the_person(own, mina):
    make(own, limits=LIMITS)
    limited("user", mina.pk, "requests", "day", 3)

    people.erase(mina, actor=None)

    assert not SubjectLimit.objects.exists()
