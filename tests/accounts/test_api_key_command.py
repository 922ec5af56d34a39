"""`manage.py api_key`: made, listed, revoked from a shell."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from accounts.models import ApiKey, AuditEntry
from accounts.services import people
from tests.accounts.conftest import Api

pytestmark = pytest.mark.django_db


def told(run, *words):
    code, out, err = run("api_key", *words, "--format", "json")
    assert code == 0, err
    return json.loads(out)


def works(text):
    answer = Api().get("conversations", HTTP_AUTHORIZATION=f"Bearer {text}")
    return answer.status_code == 200


def test_a_key_is_printed_once(run, mina):
    made = told(run, "create", "--user", "mina", "--name", "Nightly")

    assert works(made["key"])
    assert (made["user"], made["name"], made["scopes"]) == ("mina", "Nightly", ["read", "chat"])
    (listed,) = told(run, "list")
    assert listed["last_used_at"] is not None
    assert made["key"] not in str(listed)
    entry = AuditEntry.objects.get(action="api_key.created")
    assert (entry.who, entry.target_id) == ("Parley", made["id"])


def test_everything_can_be_said_of_it(run, mina):
    words = "--scope read --scope support --model gpt-4o --model a/b:c --address 10.1.2.3/8"
    made = told(
        run, "create", "--user", "mina", "--name", "x", *words.split(), "--expires", "2099-01-31"
    )

    assert made["scopes"] == ["read", "support"]
    assert made["models"] == ["gpt-4o", "a/b:c"]
    assert made["addresses"] == ["10.0.0.0/8"]
    assert made["expires_at"] == "2099-01-31T00:00:00+00:00"


def test_the_table_says_it_too(run, mina):
    code, out, _err = run("api_key", "create", "--user", "mina", "--name", "x")

    assert code == 0
    assert "parley-" in out.splitlines()[-1]


def test_a_person_s_are_listed_the_newest_first(run, mina, person):
    person("olga")
    ids = {
        name: told(run, "create", "--user", user, "--name", name)["id"]
        for user, name in (("mina", "a"), ("olga", "b"), ("mina", "c"))
    }

    assert [row["id"] for row in told(run, "list")] == [ids["c"], ids["b"], ids["a"]]
    assert [row["name"] for row in told(run, "list", "--user", "MINA")] == ["c", "a"]
    assert [row["name"] for row in told(run, "list", "--limit", "1")] == ["c"]


def test_a_revoked_one_is_refused_and_listed_no_more(run, mina):
    made = told(run, "create", "--user", "mina", "--name", "x")

    assert told(run, "revoke", made["id"]) == {"id": made["id"], "user": "mina", "revoked": True}

    assert not works(made["key"])
    assert told(run, "list") == []
    assert run("api_key", "revoke", made["id"])[0] == 1
    entry = AuditEntry.objects.get(action="api_key.revoked")
    assert (entry.who, entry.target_id) == ("Parley", made["id"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", "--user", "nobody", "--name", "x"), 1),
        (("create", "--user", "mina", "--name", " "), 1),
        (("create", "--user", "mina", "--name", "x" * 81), 1),
        (("create", "--user", "mina", "--name", "x", "--model", ""), 1),
        (("create", "--user", "mina", "--name", "x", "--address", "nowhere"), 1),
        (("create", "--user", "mina", "--name", "x", "--expires", "2020-01-01"), 1),
        (("create", "--user", "mina", "--name", "x", "--expires", "soon"), 2),
        (("create", "--user", "mina", "--name", "x", "--expires", "2099-02-31"), 2),
        (("revoke", str(uuid4())), 1),
        (("list", "--user", "nobody"), 1),
    ],
)
def test_what_cannot_be_is_refused(run, mina, words, code):
    assert run("api_key", *words)[0] == code
    assert not ApiKey.objects.exists()


def test_nobody_suspended_gets_one(run, mina):
    people.suspend(mina, actor=None)

    assert run("api_key", "create", "--user", "mina", "--name", "x")[0] == 1
