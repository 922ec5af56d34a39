"""F19: a backup comes back whole, whatever state SQLite's file is in by then."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.e2e.conftest import once
from tests.server import environment, free_port, manage

pytestmark = [once, pytest.mark.row("F19")]

NAMES = "SELECT name FROM auth_permission ORDER BY id"


@pytest.fixture
def run(tmp_path):
    environ = environment(tmp_path / "data", port=free_port())

    def command(*words):
        ended = manage(*words, environ=environ)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return command


def read(file):
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        return [name for (name,) in database.execute(NAMES)]


@pytest.fixture
def backup(run, tmp_path):
    """Its path, and what is in it; the database was written to later, by a process that died."""
    run("migrate")
    path, file = tmp_path / "parley.tar", tmp_path / "data" / "parley.sqlite3"
    run("backup", str(path))
    names = read(file)
    log, left = file.with_name("parley.sqlite3-wal"), tmp_path / "log"
    with closing(sqlite3.connect(file)) as database:
        # As long as they were: the first page, by which SQLite knows a database, stays as it is.
        database.execute("UPDATE auth_permission SET name = upper(name)")
        database.commit()
        shutil.copyfile(log, left)
    shutil.copyfile(left, log)
    return path, names


@pytest.mark.parametrize("state", ["broken", "removed"])
def test_what_its_log_still_had_is_not_written_over_what_was_restored(run, backup, tmp_path, state):
    (path, names), file = backup, tmp_path / "data" / "parley.sqlite3"
    if state == "broken":
        with file.open("r+b") as first_page:
            first_page.write(bytes(100))
    else:
        file.unlink()

    run("restore", str(path), "--yes")

    assert read(file) == names
    run("check", "--database", "default")
    (kept,) = file.parent.glob("parley.sqlite3.before-*-wal")
    assert kept.stat().st_size > 0
