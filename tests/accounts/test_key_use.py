"""K1, K2, S19: calling with an API key."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey, Scope
from accounts.services import api_keys, people
from accounts.services.callers import Caller, caller_from_key
from common import restoring
from tests.accounts.conftest import PASSWORD, Api, problem

pytestmark = pytest.mark.django_db

HERE = "203.0.113.7"


@pytest.fixture
def key(mina):
    return api_keys.create(mina, name="A program", actor=mina)


def call(text, path="conversations", *, address=HERE, method="GET", body=None, **extra):
    return Api(address).call(method, path, body, HTTP_AUTHORIZATION=f"Bearer {text}", **extra)


def is_refused(text, **extra):
    answer = call(text, **extra)
    assert text not in answer.content.decode()
    assert answer["WWW-Authenticate"] == "Bearer"
    return problem(answer) == (401, "token_invalid")


def test_a_key_stands_for_its_owner(key):
    assert call(key.text).status_code == 200


@pytest.mark.row("K1")
def test_only_its_digest_is_kept(key):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_apikey")
        row = str(cursor.fetchall())

    assert key.row.digest in row
    assert key.text[12:] not in row
    assert key.text not in repr(key)


@pytest.mark.row("K1")
def test_a_misspelt_key_is_refused_without_a_query(key):
    misspelt = key.text[:-1] + ("x" if key.text[-1] != "x" else "y")

    for text in (misspelt, "parley-", "parley-x", key.text + "0", key.text.upper()):
        with CaptureQueriesContext(connection) as asked:
            refused = call(text)
        assert problem(refused) == (401, "token_invalid")
        assert len(asked) == 0, text


@pytest.mark.row("K1", "K2")
def test_a_key_is_found_by_one_query(key):
    """The row is read each time."""
    api_keys.touch(key.row)
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            caller_from_key(key.text, address=HERE)

        assert len(asked) == 1
        assert key.row.digest in asked.captured_queries[0]["sql"]


def test_an_unknown_key_is_refused(key):
    key.row.delete()

    assert is_refused(key.text)


@pytest.mark.row("K2")
def test_a_revoked_key_is_refused_from_the_next_request_on(key, mina):
    assert call(key.text).status_code == 200

    api_keys.revoke(key.row, actor=mina)

    assert is_refused(key.text)
    assert api_keys.revoke(key.row, actor=mina) is False


@pytest.mark.row("K2")
def test_an_expired_key_is_refused(key):
    ApiKey.objects.update(expires_at=timezone.now())

    assert is_refused(key.text)


@pytest.mark.row("K2")
def test_a_change_of_scopes_counts_at_once(key):
    ApiKey.objects.update(scopes=["support"])

    assert problem(call(key.text)) == (403, "permission_denied")


@pytest.mark.row("K2", "S19")
def test_a_suspended_person_has_no_keys_any_more(key, mina):
    """Nor when they are back."""
    people.suspend(mina, actor=None)
    assert is_refused(key.text)

    people.activate(mina, actor=None)
    assert is_refused(key.text)


def test_a_person_made_inactive_by_hand_is_refused_too(key, mina):
    type(mina).objects.filter(pk=mina.pk).update(is_active=False)

    assert is_refused(key.text)


@pytest.mark.row("G4")
def test_an_erased_person_leaves_no_key(key, mina):
    people.erase(mina, actor=None)

    assert not ApiKey.objects.exists()
    assert is_refused(key.text)


@pytest.mark.row("S19")
def test_a_new_password_and_signing_out_leave_keys_alone(key, mina, device):
    """Two browsers and a key."""
    here, there = device(mina), device(mina)
    fields = {"old_password": PASSWORD, "new_password": "a longer horse battery"}

    assert here.call("POST", "users/me/change-password", fields).status_code == 204
    assert here.works()
    assert not there.works()
    assert call(key.text).status_code == 200

    mina.refresh_from_db()
    people.sign_out(mina, actor=None)
    assert not here.works()
    assert call(key.text).status_code == 200


@pytest.mark.row("F19")
def test_a_restored_backup_lets_no_key_in(key):
    """F19: it may have been revoked since."""
    restoring.begin_epoch()

    assert is_refused(key.text)


@pytest.mark.parametrize(
    ("addresses", "address", "works"),
    [
        (["203.0.113.0/24"], HERE, True),
        (["198.51.100.1", "203.0.113.7"], HERE, True),
        (["198.51.100.0/24"], HERE, False),
        (["2001:db8::/32"], "2001:db8::5", True),
        (["2001:db8::/32"], "2001:db9::5", False),
        (["203.0.113.0/24"], "::ffff:203.0.113.7", True),
        (["::ffff:203.0.113.0/120"], HERE, True),
        (["203.0.113.0/24"], "", False),
        ([], "", True),
    ],
)
def test_it_is_good_at_its_addresses_alone(mina, addresses, address, works):
    key = api_keys.create(mina, name="x", addresses=addresses, actor=mina)

    answer = call(key.text, address=address)

    assert (answer.status_code == 200) is works
    if not works:
        assert problem(answer) == (401, "token_invalid")


@pytest.mark.row("R2")
def test_a_forged_header_moves_no_one(mina):
    """R2: without TRUSTED_PROXIES nothing that is sent counts."""
    key = api_keys.create(mina, name="x", addresses=["198.51.100.1"], actor=mina)

    assert is_refused(key.text, HTTP_X_FORWARDED_FOR="198.51.100.1")


@pytest.mark.row("K2")
def test_the_last_use_is_noted_once_a_minute(key):
    """No write per request."""
    now = timezone.now()
    call(key.text)
    first = ApiKey.objects.get().last_used_at
    assert first >= now

    with CaptureQueriesContext(connection) as asked:
        call(key.text)
    assert not [each for each in asked if each["sql"].startswith("UPDATE")]

    ApiKey.objects.update(last_used_at=now - timedelta(seconds=61))
    call(key.text)
    assert ApiKey.objects.get().last_used_at >= first


@pytest.mark.row("K3")
def test_a_key_in_another_header_is_nobody(key):
    """There is one door."""
    for headers in ({"HTTP_X_API_KEY": key.text}, {"HTTP_COOKIE": f"sessionid={key.text}"}):
        assert problem(Api().get("conversations", **headers)) == (401, "unauthenticated")


@pytest.mark.row("R3")
def test_guessing_keys_is_slow(key, settings):
    """R3: what ends in 401 counts for its address, what is answered for its owner."""
    settings.RATES = {**settings.RATES, "api_anonymous": [(3, 60)]}

    found = [call("parley-guess", address="198.51.100.9").status_code for _ in range(5)]

    assert found == [401, 401, 401, 429, 429]
    assert call(key.text, address="198.51.100.9").status_code == 200


def test_a_scope_reaches_what_it_says(mina):
    reader, writer, agent = (
        api_keys.create(mina, name="x", scopes=[scope], actor=mina).text for scope in Scope.values
    )
    body = {"body": {"title": "Plans"}}

    assert call(reader).status_code == 200
    assert problem(call(reader, method="POST", **body)) == (403, "permission_denied")
    assert call(writer, method="POST", **body).status_code in {201, 503}
    assert problem(call(writer, "users/me/stats")) == (403, "permission_denied")
    assert problem(call(agent)) == (403, "permission_denied")


def test_a_method_that_an_address_does_not_have_is_said_to_whom_a_scope_lets_in(mina):
    reader = api_keys.create(mina, name="Reader", scopes=["read"], actor=mina).text

    told = {
        (method, path): problem(call(reader, path, method=method, body={}))
        for method, path in [
            ("POST", "users/me/usage"),
            ("POST", "conversations"),
            ("PUT", "plans"),
        ]
    }

    assert told == {
        ("POST", "users/me/usage"): (405, "method_not_allowed"),
        ("POST", "conversations"): (403, "permission_denied"),
        ("PUT", "plans"): (403, "permission_denied"),
    }


@pytest.mark.row("K3")
def test_no_scope_reaches_what_a_person_does_alone(mina):
    text = api_keys.create(mina, name="x", scopes=Scope.values, actor=mina).text

    for method, path in [
        ("GET", "api-keys"),
        ("POST", "api-keys"),
        ("GET", "users/me"),
        ("PATCH", "users/me"),
        ("DELETE", "users/me"),
        ("POST", "users/me/change-password"),
        ("GET", "users/me/sessions"),
        ("GET", "users/me/export"),
        ("GET", "users"),
        ("GET", "settings"),
        ("PATCH", "settings"),
        ("GET", "connections"),
        ("POST", "models"),
    ]:
        answer = call(text, path, method=method, body={})
        assert problem(answer) == (403, "permission_denied"), (method, path)


def test_an_administrators_key_is_no_administrator(root):
    text = api_keys.create(root, name="x", scopes=Scope.values, actor=root).text

    assert problem(call(text, "users")) == (403, "permission_denied")
    assert Api().get("/admin/", HTTP_AUTHORIZATION=f"Bearer {text}").status_code == 302


def test_the_caller_carries_the_key(key, mina):
    caller = caller_from_key(key.text, address=HERE)

    assert caller.user == mina
    assert caller.key == key.row
    assert caller.credential_id == key.row.pk
    assert caller.scopes == frozenset({"read", "chat"})
    assert caller.sender == Caller(mina, None).sender


@pytest.mark.django_db(transaction=True)
def test_a_key_made_beside_a_suspension_is_dead_too(mina):
    """Either it comes first, and is revoked, or it is not made."""
    made = []

    def make() -> None:
        try:
            made.append(api_keys.create(mina, name="x", actor=None))
        except Exception:  # noqa: BLE001 refused
            made.append(None)
        finally:
            connection.close()

    thread = threading.Thread(target=make)
    thread.start()
    people.suspend(mina, actor=None)
    thread.join()

    assert not ApiKey.objects.filter(revoked_at=None).exists()
