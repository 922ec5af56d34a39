"""A key is entered; afterwards it is nowhere: answers, admin, logs, database."""

from __future__ import annotations

import http.cookiejar
import os
import re
import urllib.parse
import urllib.request

import psycopg
import pytest

from tests.e2e.conftest import PAIRED
from tests.e2e.person import PASSWORD, administrator
from tests.models_registry.upstream import refusal

KEY = "sk-canary-Zx81kQpW0vLr7TnY"


@pytest.fixture(scope="module")
def admin(servers):
    return administrator(servers[0])


@pytest.fixture(scope="module")
def connection(admin, upstream):
    made = admin.call(
        "POST",
        "connections",
        {
            "scope": "system",
            "provider": "openai_compatible",
            "name": "canary",
            "base_url": upstream.url,
            "api_key": KEY,
        },
    )
    assert made.status == 201, made.body
    assert made.json()["api_key_hint"] == "…7TnY"
    return made.json()["id"]


@pytest.mark.row("K5", "K10")
def test_no_answer_holds_the_key(admin, connection, upstream):
    """Also where the provider echoes what it was sent."""
    upstream.script(refusal(401, {"message": f"Incorrect API key provided: {KEY}"}))
    model = {"scope": "system", "name": "canary", "connection": connection}
    answers = [
        admin.call("GET", "connections"),
        admin.call("GET", f"connections/{connection}"),
        admin.call("PATCH", f"connections/{connection}", {"name": "canary 2"}),
        admin.call("PATCH", f"connections/{connection}", {"base_url": "http://127.0.0.1:9/v1"}),
        admin.call("POST", f"connections/{connection}/test"),
        admin.call("POST", "models", model),
        admin.call(
            "POST", "chat", {"model": "canary", "messages": [{"role": "user", "content": "x"}]}
        ),
        admin.call("GET", "models"),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200, 400, 200, 201, 502, 200]
    for answer in answers:
        assert KEY.encode() not in answer.body


@pytest.mark.row("M2")
def test_the_admin_never_shows_it(servers, admin, connection):
    """Every page of the registry's admin, by source."""
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    base = f"http://localhost:{servers[0].port}"

    def page(path: str, form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        asked = urllib.request.Request(  # noqa: S310 our own loopback server
            base + path, data=data, headers={"Referer": base + path}
        )
        return str(opener.open(asked, timeout=20).read(), "utf-8")

    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page("/admin/login/"))
    signed_in = page(
        "/admin/login/?next=/admin/",
        {"csrfmiddlewaretoken": token[1], "username": "root", "password": PASSWORD},
    )
    assert "/admin/logout/" in signed_in

    for path in ("", "add/", f"{connection}/change/", f"{connection}/history/", "?q=canary"):
        shown = page(f"/admin/models_registry/connection/{path}")
        assert "canary" in shown or path == "add/"
        assert KEY not in shown


@pytest.mark.row("G1", "K5")
def test_no_log_and_no_row_holds_a_secret(servers, admin, connection):
    """Logs of every server, and the database in clear."""
    token = admin.token.encode()
    for server in servers:
        for secret in (KEY, PASSWORD, admin.token):
            assert secret not in server.log

    stored = dump(servers[0])

    assert b"canary" in stored
    for secret in (KEY.encode(), PASSWORD.encode(), token):
        assert secret not in stored


def dump(server):
    """Everything that the database holds, as bytes."""
    if not PAIRED:
        return b"".join(path.read_bytes() for path in server.data_dir.glob("*.sqlite3*"))
    found = []
    with psycopg.connect(server.environ["DATABASE_URL"]) as database:
        tables = database.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            with database.cursor().copy(f'COPY "{table}" TO STDOUT') as rows:
                found += [bytes(row) for row in rows]
    return b"".join(found)


@pytest.mark.row("K11")
def test_the_folder_of_the_data_is_private(servers):
    mode = servers[0].data_dir.stat().st_mode & 0o777
    assert oct(mode) == "0o700"
    assert os.access(servers[0].data_dir, os.W_OK)
