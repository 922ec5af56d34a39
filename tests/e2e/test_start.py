"""A server process starts whole, and says why where it cannot."""

from __future__ import annotations

import json
import os
import secrets
import socket
import socketserver
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import once
from tests.e2e.refusing import postgresql_that_says
from tests.server import ROOT, environment, launch, manage, running, wait_until_ready

pytestmark = once


def test_a_bare_start_is_healthy_and_says_where_it_is(shared_server):
    answer = shared_server.request("/health")

    assert answer.status == 200
    assert answer.json()["checks"] == {
        "database": "ok",
        "cache": "ok",
        "channel_layer": "ok",
        "jobs": "ok",
    }
    assert f"http://localhost:{shared_server.port}" in shared_server.log
    assert str(shared_server.data_dir) in shared_server.log
    assert "create_admin" in shared_server.log
    assert "Traceback" not in shared_server.log


@pytest.mark.row("K11")
def test_development_secrets_are_private(shared_server):
    """Mode 0600 in a 0700 DATA_DIR."""
    folder = shared_server.data_dir.stat()
    secrets = (shared_server.data_dir / "secrets.json").stat()

    assert stat.S_IMODE(folder.st_mode) == 0o700
    assert stat.S_IMODE(secrets.st_mode) == 0o600
    assert folder.st_uid == os.getuid()


def test_a_taken_port_ends_the_start_with_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = launch(tmp_path, PORT=str(taken.getsockname()[1]))

        assert server.wait() == 1
        assert "PORT:" in server.log
        assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("DEBUG", "perhaps"),
        ("DATABASE_URL", "mysql://root@localhost/x"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis://localhost:many/0"),
        ("REDIS_URL", "redis://localhost/first"),
        ("PUBLIC_URL", "chat.example.com"),
        ("ENCRYPTION_KEYS", "short"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("TRUSTED_PROXIES", "everyone"),
        ("CORS_ORIGINS", "*"),
        ("LOG_LEVEL", "LOUD"),
        ("TURN_SECONDS", "-1"),
        ("OPENAI_BASE_URL", "file:///etc/passwd"),
    ],
)
def test_a_wrong_value_ends_the_start_naming_the_setting(tmp_path, name, value):
    environ = environment(tmp_path, port=1, **{"PORT": "8139", name: value})

    ended = manage("serve", environ=environ)

    assert ended.returncode == 1
    assert f"{name}:" in ended.stderr
    assert "parley.E" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_is_away_ends_the_start_with_a_sentence(tmp_path):
    environ = environment(
        tmp_path,
        port=8139,
        DATABASE_URL="postgres://nobody:pass-1234@127.0.0.1:9/nothing",
        DATABASE_WAIT_SECONDS="1",
    )

    ended = manage("serve", environ=environ)

    assert ended.returncode == 1
    assert "DATABASE_URL:" in ended.stderr
    assert "pass-1234" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("state", "to_do"),
    [
        ("28P01", "Check its user and password"),
        ("28000", "Check its user and password"),
        ("42501", "Check its user and password"),
        ("3D000", "createdb nothing"),
    ],
)
def test_a_database_that_refuses_us_ends_the_start_at_once(tmp_path, state, to_do):
    """Not after the time that one gets which is only away."""
    with postgresql_that_says(state) as (address, came):
        environ = environment(
            tmp_path, port=8139, DATABASE_URL=address, DATABASE_WAIT_SECONDS="600"
        )
        ended = manage("serve", environ=environ)

    assert ended.returncode == 1
    assert came
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("DATABASE_URL: the database refuses us (")
    assert to_do in last
    assert "Waiting for the database" not in ended.stdout
    assert "pass-1234" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_database_that_is_starting_up_is_waited_for(tmp_path):
    with postgresql_that_says("57P03") as (address, came):
        environ = environment(tmp_path, port=8139, DATABASE_URL=address, DATABASE_WAIT_SECONDS="2")
        ended = manage("serve", environ=environ)

    assert ended.returncode == 1
    assert "Waiting for the database" in ended.stdout
    assert len(came) > 2
    assert "DATABASE_URL: the database cannot be reached" in ended.stderr


@contextmanager
def _redis_that_refuses() -> Iterator[str]:
    """The address of one that says to whatever it is asked that the password is wrong."""

    class Refusing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.request.recv(4_096):
                self.request.sendall(b"-WRONGPASS invalid username-password pair\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"redis://:pass-1234@127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()


def test_a_command_on_a_database_that_is_not_set_up_says_what_to_run(tmp_path):
    ended = manage("user", "list", environ=environment(tmp_path, port=8139))

    assert ended.returncode == 1
    assert "Run: manage.py migrate" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_command_without_its_database_says_so(tmp_path):
    address = "postgres://parley:pass-1234@127.0.0.1:9/parley"
    ended = manage("user", "list", environ=environment(tmp_path, port=8139, DATABASE_URL=address))

    assert ended.returncode == 1
    assert "The database cannot be reached (" in ended.stderr
    assert "pass-1234" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_redis_that_refuses_us_ends_the_start_with_a_sentence(tmp_path):
    with _redis_that_refuses() as address:
        ended = manage("serve", environ=environment(tmp_path, port=8139, REDIS_URL=address))

    assert ended.returncode == 1
    assert "REDIS_URL: Redis refuses us" in ended.stderr
    assert "pass-1234" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.row("F4")
def test_a_server_starts_without_its_redis_and_says_so_once(tmp_path):
    """F4: sign-in works while Redis is away, also where it was never there."""
    with running(tmp_path, REDIS_URL="redis://:pass-1234@127.0.0.1:9/0") as server:
        person = {"username": "mina", "email": "m@example.org", "password": "correct-horse-9"}
        made = server.request("/api/v1/auth/register", method="POST", body=person)

        assert made.status == 201
        assert server.log.count("REDIS_URL: Redis cannot be reached") == 1
        assert "Cannot connect" not in server.log
        assert "pass-1234" not in server.log
        assert "Traceback" not in server.log

        server.process.terminate()
        server.process.wait(30)
        assert "The server has ended." in server.log
        assert "ends without waiting for" not in server.log


@pytest.mark.parametrize("kind", ["worker", "beat"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://localhost:many/0"),
        ("DATABASE_URL", "postgres://nobody:pass-1234@127.0.0.1:9/nothing"),
    ],
)
def test_a_worker_and_a_beat_begin_with_the_same_questions(tmp_path, kind, name, value):
    environ = environment(tmp_path, port=8139, DATABASE_WAIT_SECONDS="0.1", **{name: value})

    ended = subprocess.run(
        [sys.executable, "-m", "celery", "--app", "config", kind],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert f"{name}:" in ended.stderr
    assert "pass-1234" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_what_is_no_database_is_told_by_a_start_and_by_a_command(tmp_path):
    (tmp_path / "parley.sqlite3").write_bytes(bytes(range(256)) * 20)

    for words in (["serve"], ["user", "list"]):
        ended = manage(*words, environ=environment(tmp_path, port=8139))
        assert ended.returncode == 1
        assert "(file is not a database)" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_second_server_on_the_same_folder_refuses_to_start(tmp_path):
    with running(tmp_path) as first:
        second = launch(tmp_path)

        assert second.wait() == 1
        assert "another Parley runs" in second.log
        assert first.request("/health/live").status == 200


@pytest.mark.row("K11")
def test_two_first_starts_at_once_share_their_secrets(tmp_path):
    """Whoever comes second reads what the first one made: tokens of one work on the other."""
    script = "from django.conf import settings as s; print(s.SECRET_KEY, *s.SIGNING_KEYS)"
    asked = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=environment(tmp_path, port=8139, DJANGO_SETTINGS_MODULE="config.settings"),
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]

    keys = {process.communicate(timeout=30)[0] for process in asked}

    assert len(keys) == 1
    assert len(keys.pop().strip()) >= 32


def test_a_warm_start_keeps_what_was_there(tmp_path):
    with running(tmp_path):
        pass

    again = launch(tmp_path)
    try:
        wait_until_ready(again)

        assert "Setting up the database" not in again.log
    finally:
        again.stop()


@pytest.mark.row("K12")
def test_a_bare_production_start_names_everything_that_is_missing(tmp_path):
    ended = manage("serve", environ=environment(tmp_path, port=8139, PRODUCTION="true"))

    assert ended.returncode == 1
    for name in ("SECRET_KEY", "SIGNING_KEYS", "ENCRYPTION_KEYS", "PUBLIC_URL"):
        assert f"{name}: it is missing" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "secrets.json").exists()


@pytest.mark.row("K12")
def test_a_furnished_production_starts_and_reads_its_secrets_from_files(tmp_path):
    """`*_FILE` as container secrets are given."""
    given = {}
    for name in ("SECRET_KEY", "SIGNING_KEYS", "ENCRYPTION_KEYS"):
        file = tmp_path / name.lower()
        file.write_text(secrets.token_urlsafe(40) + "\n", encoding="utf-8")
        given[f"{name}_FILE"] = str(file)

    with running(
        tmp_path / "data",
        PRODUCTION="true",
        PUBLIC_URL="https://chat.example.com",
        ALLOWED_HOSTS="chat.example.com",
        LOG_FORMAT="json",
        **given,
    ) as server:
        page = server.request("/", headers={"Host": "chat.example.com"})
        foreign = server.request("/")

    assert page.status == 200
    assert page.json()["docs"] == "https://chat.example.com/docs"
    assert "max-age" in page.headers["strict-transport-security"]
    assert foreign.status == 400
    assert not (tmp_path / "data" / "secrets.json").exists()
    requests = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert {found["status"] for found in requests if found["event"] == "request"} == {200, 400}


def test_a_first_administrator_comes_from_the_environment(tmp_path):
    with running(
        tmp_path,
        ADMIN_USERNAME="ruth",
        ADMIN_EMAIL="ruth@example.com",
        ADMIN_PASSWORD="correct-horse-battery",
    ) as server:
        signed_in = server.request(
            "/api/v1/auth/login",
            method="POST",
            body={"username": "ruth", "password": "correct-horse-battery"},
        )

    assert signed_in.json()["user"]["roles"] == ["admin"]
    assert "create_admin" not in server.log


def test_an_impossible_administrator_ends_the_start_with_a_sentence(tmp_path):
    environ = environment(
        tmp_path,
        port=8139,
        ADMIN_USERNAME="ruth",
        ADMIN_EMAIL="ruth@example.com",
        ADMIN_PASSWORD="123",
    )

    ended = manage("serve", environ=environ)

    assert ended.returncode == 1
    assert "ADMIN_PASSWORD" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_half_an_administrator_ends_the_start_with_a_sentence(tmp_path):
    environ = environment(tmp_path, port=8139, ADMIN_USERNAME="ruth", ADMIN_PASSWORD="a horse 99")

    ended = manage("serve", environ=environ)

    assert ended.returncode == 1
    assert "parley.E007 ADMIN_EMAIL: it is missing." in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.row("S20")
def test_a_single_user_starts_chats_and_needs_no_sign_in(tmp_path):
    """On loopback, without credentials; a page of another origin gets nothing."""
    with running(tmp_path, SINGLE_USER="true") as server:
        me = server.request("/api/v1/users/me")
        made = server.request("/api/v1/conversations", method="POST", body={"title": "Plans"})
        foreign = server.request("/api/v1/users/me", headers={"Origin": "https://evil.example"})
        rebound = server.request("/api/v1/users/me", headers={"Host": "evil.example"})
        told = server.request("/info").json()

    assert (me.status, me.json()["username"], me.json()["roles"]) == (200, "owner", ["admin"])
    assert made.status == 201
    assert (foreign.status, rebound.status) == (401, 400)
    assert told["single_user"] is True
    assert told["registration_open"] is False
    assert "create_admin" not in server.log


@pytest.mark.row("S20")
def test_a_single_user_on_the_network_is_refused_in_a_sentence(tmp_path):
    """Start on 0.0.0.0 with SINGLE_USER and no password: refused."""
    ended = manage(
        "serve",
        environ=environment(tmp_path, port=8139, SINGLE_USER="true", HOST="0.0.0.0"),  # noqa: S104
    )

    assert ended.returncode == 1
    assert "SINGLE_USER:" in ended.stderr
    assert "ADMIN_PASSWORD" in ended.stderr
    assert "Traceback" not in ended.stderr
