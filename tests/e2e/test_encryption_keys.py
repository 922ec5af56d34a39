"""The keys that seal secrets are lost, and are changed by a command that is killed, on a server."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest

from tests.e2e.conftest import PAIRED, database
from tests.e2e.person import Person, administrator, sign_in
from tests.models_registry.upstream import answer
from tests.server import ROOT, Server, running
from tests.waiting import until

OLD, NEW, WRONG = ("old " * 10, "new " * 10, "wrong " * 6)
KEY = "sk-canary-Kp29xQw71Lm4"
ROWS = 20_000

# Written by a process that seals with the old key.
MANY = f"""
from common.crypto import encrypt
from models_registry.models import Connection
rows = [Connection(name=f"c{{n}}", provider="openai", enabled=False) for n in range({ROWS})]
for row in rows:
    row.sealed_api_key = encrypt(f"sk-{{row.name}}", context=row.key_context)
Connection.objects.bulk_create(rows, batch_size=500)
"""


def furnish(root: Person, base_url: str) -> None:
    """A connection whose key is to be kept, and a model of it."""
    fields = {"scope": "system", "provider": "openai_compatible", "name": "Sealed"}
    made = root.call("POST", "connections", fields | {"base_url": base_url, "api_key": KEY})
    assert made.status == 201, made.body
    model = {"scope": "system", "name": "sealed", "connection": made.json()["id"]}
    assert root.call("POST", "models", model | {"access": {"everyone": True}}).status == 201


def chat(person: Person, model: str = "sealed"):
    messages = [{"role": "user", "content": "Hi"}]
    return person.call("POST", "chat", {"model": model, "messages": messages})


def sealed(server: Server) -> list[str]:
    """What the database holds."""
    asked = "SELECT sealed_api_key FROM models_registry_connection WHERE sealed_api_key > ''"
    if PAIRED:
        with psycopg.connect(server.environ["DATABASE_URL"]) as connection:
            return [text for (text,) in connection.execute(asked).fetchall()]
    with closing(sqlite3.connect(server.data_dir / "parley.sqlite3", timeout=20)) as file:
        return [text for (text,) in file.execute(asked).fetchall()]


def key_id(text: str) -> str:
    return text.rsplit(".", 1)[0]


@pytest.mark.row("K7")
def test_a_start_with_lost_keys_is_up_and_says_what_is_lost(tmp_path, upstream):
    """Its model alone is not available; with the key entered anew it is."""
    upstream.script(answer("Hello"))
    with database() as shared:
        with running(tmp_path, ENCRYPTION_KEYS=OLD, **shared) as server:
            root = administrator(server)
            furnish(root, upstream.url)
            assert chat(root).status == 200

        with running(tmp_path, ENCRYPTION_KEYS=WRONG, **shared) as server:
            root = sign_in(server, "root")
            refused = chat(root)
            assert (refused.status, refused.json()["code"]) == (503, "model_unavailable")
            assert chat(root, "offline").status == 200
            checked = server.command("check", "--database", "default")
            assert "Sealed" in checked.stdout + checked.stderr
            assert "cannot be decrypted" in server.log
            (row,) = [
                each
                for each in root.call("GET", "connections").json()["results"]
                if each["name"] == "Sealed"
            ]
            again = root.call("PATCH", f"connections/{row['id']}", {"api_key": KEY})
            assert again.status == 200, again.body
            assert chat(root).status == 200
    assert upstream.chats[-1].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.row("K6")
def test_a_rotation_that_is_killed_goes_on_and_turns_never_stop(tmp_path, upstream):
    upstream.script(answer("Hello"))
    with database() as shared:
        with running(tmp_path, ENCRYPTION_KEYS=OLD, **shared) as server:
            furnish(administrator(server), upstream.url)
            filled = server.command("shell", "-c", MANY, timeout=120)
            assert filled.returncode == 0, filled.stderr
        old = key_id(sealed(server)[0])

        with running(tmp_path, ENCRYPTION_KEYS=f"{NEW},{OLD}", **shared) as server:
            root = sign_in(server, "root")
            command = [sys.executable, "manage.py", "rotate_encryption_keys"]
            rotating = subprocess.Popen(command, cwd=ROOT, env=server.environ)
            until(lambda: {key_id(each) for each in sealed(server)} != {old}, "it has begun")
            rotating.kill()
            rotating.wait(20)
            half = [key_id(each) for each in sealed(server)]
            assert 0 < half.count(old) < len(half)
            assert chat(root).status == 200

            told = server.command("rotate_encryption_keys", "--format", "json", timeout=120)
            assert told.returncode == 0, told.stderr
            (counted,) = [
                each
                for each in json.loads(told.stdout)
                if each["secrets"] == "models_registry.connection.sealed_api_key"
            ]
            assert (counted["rotated"], counted["remaining"]) == (half.count(old), 0)
            assert chat(root).status == 200

        with running(tmp_path, ENCRYPTION_KEYS=NEW, **shared) as server:
            assert chat(replace(root, server=server)).status == 200
