"""What a start prints can be typed as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from config import start


@pytest.mark.parametrize(
    ("program", "script", "command"),
    [
        ("{here}/.venv/bin/python", "manage.py", ".venv/bin/python manage.py create_admin"),
        (
            "/opt/my python/bin/python3",
            "manage.py",
            "'/opt/my python/bin/python3' manage.py create_admin",
        ),
        (
            "/opt/bin/python3",
            "/srv/parley/manage.py",
            "/opt/bin/python3 /srv/parley/manage.py create_admin",
        ),
    ],
)
def test_the_command_for_an_administrator_works_where_the_server_was_started(
    monkeypatch, program, script, command
):
    monkeypatch.setattr(sys, "executable", program.format(here=Path.cwd()))
    monkeypatch.setattr(sys, "argv", [script, "serve"])

    lines = start.greeting(administrators=False).splitlines()

    assert lines[-1].endswith(f"run  {command}")


def test_an_administrator_s_server_asks_for_none():
    assert "create_admin" not in start.greeting(administrators=True)
