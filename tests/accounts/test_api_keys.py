"""`api-keys`: made, listed, revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import ApiKey, AuditEntry
from accounts.services import api_keys
from tests.accounts.conftest import problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def phone(mina, device):
    return device(mina)


def make(phone, **fields):
    return phone.call("POST", "api-keys", {"name": "A program"} | fields)


def test_a_key_is_told_once(phone, mina):
    made = make(phone)

    assert made.status_code == 201
    body = made.json()
    key = body.pop("key")
    assert key.startswith("parley-")
    assert body["prefix"] == key[:12]
    assert body["scopes"] == ["read", "chat"]
    assert (body["models"], body["addresses"], body["expires_at"]) == ([], [], None)
    assert body["last_used_at"] is None

    (listed,) = phone.call("GET", "api-keys").json()["results"]
    one = phone.call("GET", f"api-keys/{body['id']}").json()
    assert listed == one == body
    assert ApiKey.objects.get().user == mina


def test_everything_that_can_be_said_of_a_key_is_kept(phone):
    said = {
        "name": "Nightly",
        "scopes": ["support", "read", "read"],
        "models": ["gpt-4o", "mistral/large:24b", "gpt-4o"],
        "addresses": ["203.0.113.7", "10.1.2.3/8", "2001:db8::1/32", "::ffff:192.0.2.0/120"],
        "expires_at": "2099-01-01T02:00:00+02:00",
    }

    body = make(phone, **said).json()

    assert body["name"] == "Nightly"
    assert body["scopes"] == ["read", "support"]
    assert body["models"] == ["gpt-4o", "mistral/large:24b"]
    assert body["addresses"] == ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24"]
    assert body["expires_at"] == "2099-01-01T00:00:00Z"


def test_null_is_the_same_as_left_out_and_no_scopes_are_none(phone):
    absent = dict.fromkeys(("scopes", "models", "addresses", "expires_at"))

    assert make(phone, **absent).json()["scopes"] == ["read", "chat"]
    assert make(phone, scopes=[]).json()["scopes"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 81),
        ("name", "two\nlines"),
        ("name", None),
        ("scopes", ["read", "admin"]),
        ("scopes", "read"),
        ("scopes", [1]),
        ("models", [""]),
        ("models", "gpt-4o"),
        ("models", ["x" * 201]),
        ("models", ["x"] * 101),
        ("addresses", ["nowhere"]),
        ("addresses", ["10.0.0.0/33"]),
        ("addresses", ["10.0.0.1:80"]),
        ("addresses", [5]),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "2101-01-01T00:00:00Z"),
        ("expires_at", "9999-12-31T23:59:59-14:00"),
        ("expires_at", "soon"),
        ("expires_at", 5),
    ],
)
def test_what_cannot_be_is_invalid_and_named(phone, field, value):
    answer = make(phone, **{field: value})

    assert problem(answer) == (400, "invalid")
    assert next(iter(answer.json()["errors"])).partition(".")[0] == field
    assert not ApiKey.objects.exists()


def test_others_keys_do_not_exist(phone, person, device):
    key = make(phone).json()
    other = device(person("boris"))

    assert other.call("GET", "api-keys").json()["results"] == []
    for method in ("GET", "DELETE"):
        assert problem(other.call(method, f"api-keys/{key['id']}")) == (404, "not_found")
    assert ApiKey.objects.get().revoked_at is None


def test_a_revoked_key_does_not_exist_any_more(phone):
    key = make(phone).json()

    assert phone.call("DELETE", f"api-keys/{key['id']}").status_code == 204

    assert phone.call("GET", "api-keys").json()["results"] == []
    for method in ("GET", "DELETE"):
        assert problem(phone.call(method, f"api-keys/{key['id']}")) == (404, "not_found")
    # What was used with it still says whose it was.
    assert ApiKey.objects.get().revoked_at is not None


def test_an_expired_key_is_still_told_of(phone):
    key = make(phone).json()
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(days=1))

    assert phone.call("GET", f"api-keys/{key['id']}").status_code == 200


def test_there_are_only_so_many(phone, settings):
    settings.API_KEYS_PER_USER = 2
    first = make(phone).json()
    make(phone)

    assert problem(make(phone)) == (409, "conflict")
    phone.call("DELETE", f"api-keys/{first['id']}")
    assert make(phone).status_code == 201


def test_making_and_revoking_are_on_record_without_name_or_key(phone, mina):
    made = make(phone, name="My secret plan", models=["gpt-4o"]).json()
    phone.call("DELETE", f"api-keys/{made['id']}")

    created, revoked = AuditEntry.objects.filter(target_kind="api_key").order_by("id")
    assert (created.action, revoked.action) == ("api_key.created", "api_key.revoked")
    assert created.actor_id == revoked.actor_id == mina.pk
    assert created.target_id == revoked.target_id == made["id"]
    assert created.after["scopes"] == ["read", "chat"]
    assert created.after["models"] == ["gpt-4o"]
    for entry in (created, revoked):
        row = str([getattr(entry, field.attname) for field in entry._meta.concrete_fields])  # noqa: SLF001
        assert made["key"] not in row
        assert "My secret plan" not in row


def test_nobody_suspended_gets_one(mina):
    mina.is_active = False
    mina.save()

    with pytest.raises(Exception, match="suspended"):
        api_keys.create(mina, name="x", actor=None)


def test_what_ended_long_ago_is_purged(mina, settings):
    long_ago = timezone.now() - timedelta(days=settings.API_KEY_DAYS, hours=1)
    revoked, expired, recent, live = (
        api_keys.create(mina, name="x", actor=mina).row for _ in range(4)
    )
    ApiKey.objects.filter(pk=revoked.pk).update(revoked_at=long_ago)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=long_ago)
    ApiKey.objects.filter(pk=recent.pk).update(revoked_at=timezone.now())

    assert set(api_keys.outlived()) == {revoked, expired}
    assert live not in api_keys.outlived()
