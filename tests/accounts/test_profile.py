"""Reading and changing one's own profile (A4, I3, I4, I10, X4)."""

from __future__ import annotations

import pytest

from accounts.models import OutgoingMail, User
from accounts.services import profile
from common.errors import Invalid
from tests.accounts.conftest import Api, problem

pytestmark = pytest.mark.django_db


def test_a_person_reads_their_own(mina, device):
    answer = device(mina).call("GET", "users/me")

    assert answer.json() == {
        "id": str(mina.pk),
        "username": "mina",
        "email": "mina@example.org",
        "display_name": "",
        "language": "en",
        "timezone": "UTC",
        "roles": ["member"],
        "preferences": {},
        "created_at": mina.created_at.isoformat().replace("+00:00", "Z"),
    }


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_person_changes_what_is_theirs(mina, device, method):
    changes = {
        "display_name": " Mina Köhler ",
        "language": "zh-hans",
        "timezone": "Europe/Berlin",
        "preferences": {"theme": "dark", "deep": [1, {"a": None}]},
    }

    answer = device(mina).call(method, "users/me", changes)

    assert answer.status_code == 200
    stored = User.objects.get()
    expected = changes | {"display_name": "Mina Köhler"}
    assert {name: getattr(stored, name) for name in changes} == expected
    assert {name: answer.json()[name] for name in changes} == expected


@pytest.mark.row("A4")
def test_what_is_not_theirs_to_write_is_never_stored(mina, device):
    before = User.objects.values().get()
    asked = {
        "id": "00000000-0000-7000-8000-000000000000",
        "username": "root",
        "username_key": "root",
        "roles": ["admin"],
        "groups": ["admin"],
        "is_staff": True,
        "is_superuser": True,
        "is_active": False,
        "plan": "gold",
        "created_at": "2000-01-01T00:00:00Z",
        "email_verified_at": "2000-01-01T00:00:00Z",
        "pending_email": "x@example.org",
        "password": "something else 5",
    }

    answer = device(mina).call("PATCH", "users/me", asked)

    assert answer.status_code == 200
    assert User.objects.values().get() == before
    assert answer.json()["roles"] == ["member"]


def test_a_whole_profile_sent_back_changes_nothing(mina, device):
    phone = device(mina)
    whole = phone.call("GET", "users/me").json()

    answer = phone.call("PUT", "users/me", whole)

    assert answer.json() == whole
    assert not OutgoingMail.objects.exists()


@pytest.mark.parametrize("name", ["نیم\u200cروز", "क्\u200dषमा", "അവന്\u200d", "Ana 👩\u200d💻"])
def test_joiners_that_a_name_is_spelt_with_are_kept(mina, device, name):
    answer = device(mina).call("PATCH", "users/me", {"display_name": name})

    assert answer.status_code == 200
    assert User.objects.get().display_name == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", "x" * 81),
        ("display_name", "two\nlines"),
        ("display_name", "abc\u202egnp"),
        ("display_name", "\u2066Mina\u2069"),
        ("display_name", "\u200d"),
        ("display_name", "Mina\u200c"),
        ("display_name", "\u3164"),
        ("display_name", None),
        ("display_name", 7),
        ("language", "tlh"),
        ("language", None),
        ("language", ["en"]),
        ("timezone", "Mars/Base"),
        ("timezone", "../../etc/passwd"),
        ("timezone", ""),
        ("preferences", []),
        ("preferences", "x"),
        ("preferences", None),
        ("preferences", {"x": "y" * 17_000}),
        ("email", "no address"),
        ("email", ""),
        ("email", None),
    ],
)
def test_a_broken_field_is_named(mina, device, field, value):
    answer = device(mina).call("PATCH", "users/me", {field: value})

    assert problem(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == [field]


@pytest.mark.row("I4")
@pytest.mark.parametrize(
    "body",
    [
        b'{"preferences": {"a": "\\u0000"}}',
        b'{"preferences": {"\\ud800": 1}}',
        b'{"preferences": {"a": 1e999}}',
        b'{"preferences": {"a": NaN}}',
        b'{"display_name": "\\u0000"}',
        b"[]",
        b"null",
        b"7",
        b"",
        b"{",
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_a_broken_body_is_invalid(mina, device, method, body):
    """I3, I4, I10"""
    answer = device(mina).call(method, "users/me", body)

    assert problem(answer) == (400, "invalid")
    assert User.objects.get().preferences == {}


def test_nobody_reads_or_writes_without_signing_in(mina):
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert problem(Api().call(method, "users/me", {})) == (401, "unauthenticated")


def test_no_answer_is_kept_by_a_cache(mina, device):
    """X4"""
    answer = device(mina).call("GET", "users/me")

    assert answer["Cache-Control"] == "no-store"
    assert {"authorization", "cookie", "origin"} <= {
        name.strip().lower() for name in answer["Vary"].split(",")
    }


@pytest.mark.row("A4")
def test_the_service_writes_no_other_field(mina):
    """Whatever a caller above it lets through."""
    with pytest.raises(Invalid):
        profile.update_profile(mina, display_name="X", is_staff=True)

    mina.refresh_from_db()
    assert (mina.display_name, mina.is_staff) == ("", False)
