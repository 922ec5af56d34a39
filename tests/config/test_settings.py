"""Settings come from the environment, in one file, and wrong values never raise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import env
from tests.server import ROOT, environment

SHOW = """
import json, sys
from config import env, settings
wanted = sys.argv[1:]
found = {name: getattr(settings, name) for name in wanted}
found["problems"] = [problem.name for problem in env.problems]
print(json.dumps(found, default=str))
"""


@pytest.fixture
def read(tmp_path):
    """The named settings in an environment."""

    def read(*names: str, **environ: str) -> Any:
        ended = subprocess.run(
            [sys.executable, "-c", SHOW, *names],
            cwd=ROOT,
            env=environment(tmp_path / "data", port=8139, **environ),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(ended.stdout)

    return read


def test_a_bare_environment_is_sqlite_in_memory_and_loopback(read):
    found = read("DATABASES", "CACHES", "CHANNEL_LAYERS", "HOST", "CELERY_BROKER_URL", "DEBUG")

    database = found["DATABASES"]["default"]
    assert database["ENGINE"].endswith("sqlite3")
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert database["OPTIONS"]["timeout"] == 20
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]
    assert found["CACHES"]["default"]["BACKEND"].endswith("LocMemCache")
    assert found["CHANNEL_LAYERS"]["default"]["BACKEND"].endswith("InMemoryChannelLayer")
    assert found["CELERY_BROKER_URL"].startswith("memory://")
    assert found["HOST"] == "127.0.0.1"
    assert found["DEBUG"] is False
    assert found["problems"] == []


def test_postgresql_and_redis_are_pooled_and_free_of_pickle(read):
    found = read(
        "DATABASES",
        "CACHES",
        "CHANNEL_LAYERS",
        DATABASE_URL="postgres://u:p@127.0.0.1:5432/parley",
        REDIS_URL="redis://127.0.0.1:6379/3",
        DATABASE_POOL_SIZE="2",
    )

    database = found["DATABASES"]["default"]
    assert database["CONN_MAX_AGE"] == 0
    assert database["CONN_HEALTH_CHECKS"] is True
    assert database["OPTIONS"]["pool"] == {"min_size": 2, "max_size": 2, "timeout": 5}
    assert found["CACHES"]["default"]["OPTIONS"]["serializer"].endswith("JSONSerializer")
    assert found["CHANNEL_LAYERS"]["default"]["BACKEND"].endswith("RedisPubSubChannelLayer")


def test_a_factor_multiplies_rates_and_counts_and_no_sizes(read):
    found = read(
        "RATES", "SOCKETS_PER_USER", "SOCKET_FRAME_BYTES", "BODY_SECONDS", LIMIT_FACTOR="10"
    )

    assert found["RATES"]["register"] == [[300, 60], [3_000, 3_600]]
    assert found["SOCKETS_PER_USER"] == 1_000
    assert found["SOCKET_FRAME_BYTES"] == 65_536
    assert found["BODY_SECONDS"] == 30


def test_each_rate_is_changed_or_turned_off_by_its_name(read):
    found = read(
        "RATES",
        RATE_TURNS_USER="100/60, 1000/3600",
        RATE_TYPING="off",
        RATE_API_USER="many",
        RATE_API_KEY="0/60",
        LIMIT_FACTOR="10",
    )

    assert found["RATES"]["turns_user"] == [[1_000, 60], [10_000, 3_600]]
    assert found["RATES"]["typing"] == []
    assert found["RATES"]["api_user"] == found["RATES"]["api_key"] == [[30_000, 60]]
    assert found["problems"] == ["RATE_API_USER", "RATE_API_KEY"]


def test_an_empty_variable_is_none(read):
    found = read("PORT", "SINGLE_USER", PORT="", SINGLE_USER="", REDIS_URL="", TIME_ZONE="")

    assert (found["PORT"], found["SINGLE_USER"]) == (8000, False)
    assert found["problems"] == []


@pytest.mark.row("K12")
def test_secrets_rotate_with_fallbacks(read):
    """The first key signs, the others are still taken."""
    new, old = "n" * 40, "o" * 40
    found = read(
        "SECRET_KEY", "SECRET_KEY_FALLBACKS", "SIGNING_KEYS", "ENCRYPTION_KEYS",
        SECRET_KEY=f"{new},{old}", SIGNING_KEYS=f"{new}, {old}", ENCRYPTION_KEYS=f"{new},{old}",
    )  # fmt: skip

    assert (found["SECRET_KEY"], found["SECRET_KEY_FALLBACKS"]) == (new, [old])
    assert found["SIGNING_KEYS"] == [new, old]
    assert found["ENCRYPTION_KEYS"] == [new, old]


def test_a_file_that_cannot_be_read_is_named(read):
    found = read(SECRET_KEY_FILE="/nowhere/at/all")

    assert found["problems"] == ["SECRET_KEY"]


@pytest.mark.row("S20")
@pytest.mark.parametrize(
    ("host", "names"),
    [("0.0.0.0", {"localhost", "127.0.0.1", "[::1]"}), ("10.1.2.3", {"localhost", "10.1.2.3"})],  # noqa: S104
)
def test_hosts_in_development_are_loopback_and_this_one(read, host, names):
    """Never any name."""
    found = read("ALLOWED_HOSTS", HOST=host)

    assert names <= set(found["ALLOWED_HOSTS"])
    assert "*" not in found["ALLOWED_HOSTS"]
    assert "0.0.0.0" not in found["ALLOWED_HOSTS"]  # noqa: S104


@pytest.mark.row("S17")
def test_cookies_are_bound_to_their_host_on_https(read):
    names = ("SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY")
    https = read(*names, PUBLIC_URL="https://chat.example.com/")
    http = read(*names, PUBLIC_URL="http://localhost:8000")

    assert https["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert https["SESSION_COOKIE_SECURE"] is True
    assert http["SESSION_COOKIE_SECURE"] is False
    assert https["SESSION_COOKIE_HTTPONLY"] is http["SESSION_COOKIE_HTTPONLY"] is True


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://chat.example.com", "https://chat.example.com"),
        ("http://[::1]:8000/parley/", "http://[::1]:8000/parley"),
        ("HTTPS://Xn--caf-dma.example/a-b_c.d/~e", "https://xn--caf-dma.example/a-b_c.d/~e"),
        ("https://chat.example.com/../..", None),
        ("https://chat.example.com/./x", None),
        ("https://chat.example.com//x", None),
        ("https://chat.example.com/?x=1", None),
        ("https://chat.example.com/#x", None),
        ("https://chat example.com", None),
        ("https://chat.example.com/a b", None),
        ("https://chat.example.com/<b>", None),
        ("https://chat.example.com:99999", None),
        ("https://chat.example.com:0", None),
        ("https://café.example", None),
        ("https://me@chat.example.com", None),
        ("chat.example.com", None),
    ],
)
def test_a_web_address_is_one_that_stands_in_links_as_it_is(monkeypatch, value, kept):
    monkeypatch.setattr(env, "problems", [])
    monkeypatch.setenv("PUBLIC_URL", value)

    found = env.web_address("PUBLIC_URL", "http://localhost:8000")

    assert found == (kept or "http://localhost:8000")
    assert [problem.name for problem in env.problems] == ([] if kept else ["PUBLIC_URL"])


def test_a_file_gives_what_the_environment_does_not(read, tmp_path):
    (tmp_path / "secret").write_text("from-a-file-" * 4, encoding="utf-8")
    (tmp_path / "settings.env").write_text(
        "# of this machine\n"
        "export TIME_ZONE=Europe/Berlin\n"
        "  LOG_LEVEL='WARNING'\r\n"
        "\n"
        "PUBLIC_URL=https://from-file.example\n"
        f"SECRET_KEY_FILE={tmp_path / 'secret'}\n"
        f"METRICS_TOKEN_FILE={tmp_path / 'secret'}\n"
        "REDIS_URL=redis://from-file:6379/0\n"
        'ADMIN_PASSWORD="a#b c"\n',
        encoding="utf-8",
    )

    found = read(
        *("TIME_ZONE", "LOG_LEVEL", "PUBLIC_URL", "SECRET_KEY", "METRICS_TOKEN", "REDIS_URL"),
        "ADMIN_PASSWORD",
        ENV_FILE=str(tmp_path / "settings.env"),
        PUBLIC_URL="https://from-environment.example",
        SECRET_KEY="from-the-environment-" * 3,
        REDIS_URL="",
    )

    assert found == {
        "TIME_ZONE": "Europe/Berlin",
        "LOG_LEVEL": "WARNING",
        "PUBLIC_URL": "https://from-environment.example",
        "SECRET_KEY": "from-the-environment-" * 3,
        "METRICS_TOKEN": "from-a-file-" * 4,
        "REDIS_URL": "",
        "ADMIN_PASSWORD": "a#b c",
        "problems": [],
    }


def test_what_a_file_gives_is_not_handed_to_other_programs(tmp_path):
    (tmp_path / "settings.env").write_text("OPENAI_ORG_ID=org-1\nTIME_ZONE=UTC\n", "utf-8")
    script = (
        "import os, config.settings; print(sorted({'OPENAI_ORG_ID', 'TIME_ZONE'} & {*os.environ}))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(tmp_path, port=8139, ENV_FILE=str(tmp_path / "settings.env")),
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.strip() == "[]"


@pytest.mark.row("G1")
@pytest.mark.parametrize(
    ("content", "line"),
    [(b"TIME_ZONE=UTC\nSECRET KEY=canary\n", "line 2"), (b"X=\xff\n", "cannot")],
)
def test_a_file_that_cannot_be_read_is_named_and_never_quoted(monkeypatch, tmp_path, content, line):
    monkeypatch.setattr(env, "problems", [])
    path = tmp_path / "settings.env"
    path.write_bytes(content)

    env.read_file(path)

    [problem] = env.problems
    text, _hint = problem.sentences()
    assert (problem.name, line in text, "canary" in text) == ("ENV_FILE", True, False)


def test_without_a_name_the_file_is_the_one_beside_manage_py(monkeypatch, tmp_path):
    asked: list[Path] = []
    monkeypatch.setattr(env, "BASE_DIR", tmp_path)
    monkeypatch.setattr(env, "read_file", asked.append)
    monkeypatch.delenv("ENV_FILE")

    env.read_settings_file()
    (tmp_path / ".env").mkdir()  # a virtual environment of that name
    env.read_settings_file()
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").touch()
    env.read_settings_file()

    assert asked == [tmp_path / ".env"]
