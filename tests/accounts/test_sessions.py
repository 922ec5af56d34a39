"""The devices on which one is signed in."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError
from django.utils import timezone

from accounts.models import SignIn, User
from accounts.services import sign_ins
from tests.accounts.conftest import problem

pytestmark = pytest.mark.django_db


def test_one_sees_ones_own_live_devices_newest_first(mina, person, device):
    device(person("olga"))
    old, phone = device(mina), device(mina)
    gone = device(mina)
    SignIn.objects.filter(pk=gone.sign_in_id).update(revoked_at=timezone.now())

    answer = phone.call("GET", "users/me/sessions")

    body = answer.json()
    assert [row["id"] for row in body["results"]] == [phone.sign_in_id, old.sign_in_id]
    assert [row["current"] for row in body["results"]] == [True, False]
    assert set(body["results"][0]) == {
        "id",
        "client",
        "address",
        "created_at",
        "last_used_at",
        "current",
    }
    assert (body["next"], body["previous"]) == (None, None)


def test_the_list_comes_in_pages(mina, device):
    devices = [device(mina) for _ in range(5)]
    phone = devices[0]
    seen, address = [], "/api/v1/users/me/sessions?limit=2"
    while address:
        page = phone.call("GET", address).json()
        seen += [row["id"] for row in page["results"]]
        address = (page["next"] or "").replace("http://localhost:8000", "")

    assert seen == [each.sign_in_id for each in reversed(devices)]


def test_deleting_one_signs_it_out(mina, device):
    phone, tablet = device(mina), device(mina)

    answer = phone.call("DELETE", f"users/me/sessions/{tablet.sign_in_id}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert not tablet.works()
    assert phone.works()
    again = phone.call("DELETE", f"users/me/sessions/{tablet.sign_in_id}")
    assert problem(again) == (404, "not_found")


def test_another_persons_device_does_not_exist(mina, person, device):
    """ARCHITECTURE 9.5"""
    other = device(person("olga"))

    answer = device(mina).call("DELETE", f"users/me/sessions/{other.sign_in_id}")

    assert problem(answer) == (404, "not_found")
    assert other.works()


@pytest.mark.parametrize("name", ["x", "00000000-0000-7000-8000-000000000000", "%00"])
def test_what_was_never_there_is_not_found(mina, device, name):
    status, _code = problem(device(mina).call("DELETE", f"users/me/sessions/{name}"))

    assert status in {400, 404}


def test_use_is_noted_at_most_once_a_minute(mina, device):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        phone = device(mina)
        begun = SignIn.objects.get().last_used_at
        clock.shift(timedelta(seconds=59))
        phone.works()
        assert SignIn.objects.get().last_used_at == begun
        clock.shift(timedelta(seconds=1))
        phone.works()
        assert SignIn.objects.get().last_used_at == timezone.now()


@pytest.mark.row("F8")
def test_a_full_disk_keeps_nobody_from_reading(mina, device, monkeypatch):
    """F8: that a device was used cannot be noted; the request goes on."""

    def refuse():
        raise OperationalError("database or disk is full")

    with time_machine.travel(timezone.now() + timedelta(minutes=5), tick=False):
        phone = device(mina)
        SignIn.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
        monkeypatch.setattr(sign_ins, "write_transaction", refuse)

        assert phone.works()


@pytest.mark.row("S3")
@pytest.mark.parametrize(
    ("change", "is_live"),
    [
        ({}, True),
        ({"revoked_at": timezone.now()}, False),
        ({"expires_at": timezone.now()}, False),
        ({"idle_expires_at": timezone.now()}, False),
        ({"user__is_active": False}, False),
    ],
    ids=lambda value: str(*value) if isinstance(value, dict) else str(value),
)
def test_a_row_and_a_query_agree_on_who_is_live(mina, device, change, is_live):
    """The rule stands twice, for one row and for many."""
    phone = device(mina)
    if "user__is_active" in change:
        User.objects.update(is_active=False)
    else:
        SignIn.objects.update(**change)

    row = SignIn.objects.select_related("user").get()

    assert row.is_live(timezone.now()) is is_live
    assert bool(sign_ins.live([row.pk])) is is_live
    assert phone.works() is is_live
