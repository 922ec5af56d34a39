"""SQLite: its own online copy. Copying the file would lose what stands in the WAL.

Not `VACUUM INTO`, which may number rows anew that an index knows by their numbers.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection
from django.utils.translation import gettext as _

from common import restoring
from common.errors import Conflict
from config.backups.archive import Manifest, Reader, Table, Writer, damaged

MEMBER = "database.sqlite3"

_WAIT_SECONDS = 2
# What SQLite keeps beside a database, under its name.
_LOGS = ("-wal", "-shm", "-journal")


def dump(writer: Writer, manifest: Manifest, folder: Path) -> None:
    """One moment of the database, whoever writes meanwhile; nobody waits for it."""
    path = folder / MEMBER
    connection.ensure_connection()
    with closing(sqlite3.connect(path)) as copy:
        connection.connection.backup(copy)  # in one step: a step sees one state
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute("PRAGMA secure_delete=ON")
        for table in restoring.left_out_tables():
            copy.execute(f'DELETE FROM "{table}"')  # noqa: S608 names of our models
        copy.commit()
        manifest.migrations = list(copy.execute("SELECT app, name FROM django_migrations"))
        manifest.tables = {name: Table(rows) for name, rows in _counted(copy)}
    writer.add(path, MEMBER)


def restore(reader: Reader, *, stamp: str, migrate: Callable[[], None]) -> str:
    """Put the new database in place of the old, and say where that is kept ("" without one).

    `migrate` brings the new one up to date, and ends what must not live on in it.
    """
    path = Path(connection.settings_dict["NAME"])
    new, kept = path.with_name(f"{path.name}.restoring"), path.with_name(f"{path.name}.{stamp}")
    with _alone(path), _unfinished(new):
        reader.extract(MEMBER, new)
        _check(new, reader.manifest)
        with _pointed_at(new):
            migrate()
        with closing(sqlite3.connect(new)) as copy:
            copy.execute("PRAGMA journal_mode=DELETE")
        _sync(new)
        existed = path.exists()
        if existed:
            os.link(path, kept)
        _move_logs(path, kept)
        # From one moment to the next: whatever ends this process, one of the two stands there.
        new.replace(path)
        _sync(path.parent)
    return str(kept) if existed else ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep everybody else from the database; raises Conflict when somebody has it open."""
    connection.close()
    if not path.exists():
        yield
        return
    with closing(sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)) as old:
        try:
            # Only whoever is alone may leave the WAL; with it the old one is one file as well.
            old.execute("PRAGMA journal_mode=DELETE")
            old.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise Conflict(
                _("Another program has the database open. Stop the server and its workers first.")
            ) from error
        except sqlite3.DatabaseError:
            pass  # a broken one is no reason to keep it
        yield


@contextmanager
def _pointed_at(path: Path) -> Iterator[None]:
    """Everything that asks the database asks this one."""
    was = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = str(path)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = was


def _check(path: Path, manifest: Manifest) -> None:
    try:
        with closing(sqlite3.connect(path)) as copy:
            sound = copy.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            counted = dict(_counted(copy))
    except sqlite3.DatabaseError as error:
        raise damaged() from error
    if not sound or counted != {name: table.rows for name, table in manifest.tables.items()}:
        raise damaged()


def _counted(copy: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    names = copy.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        " AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name"
    )
    for (name,) in names.fetchall():
        yield name, copy.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]  # noqa: S608


def _move_logs(path: Path, kept: Path) -> None:
    """What a broken database, or one that somebody removed, still had in its log: beside the new
    one SQLite would take it for that one's own, and write it over what was restored."""
    for suffix in _LOGS:
        log = path.with_name(path.name + suffix)
        if log.exists():
            log.replace(kept.with_name(kept.name + suffix))


@contextmanager
def _unfinished(path: Path) -> Iterator[None]:
    """Nothing stays of what was not put in its place: it holds what people said."""
    _forget_file(path)  # of a restore that was killed
    try:
        yield
    finally:
        _forget_file(path)


def _forget_file(path: Path) -> None:
    for suffix in ("", *_LOGS):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
