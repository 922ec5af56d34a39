"""PostgreSQL: a dump of our own, by COPY, in one snapshot.

Not `pg_dump`: no image of ours has it, and it refuses a server that is newer than itself. The
tables are made by our migrations, so data alone are enough, and any server version takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import OperationalError, ProgrammingError
from django.utils.translation import gettext as _

from common import restoring
from common.db import snapshot
from common.errors import Conflict
from config.backups.archive import Manifest, Reader, Table, Writer, damaged
from config.migrating import one_at_a_time

_NEW = "parley_restoring"
_LOCK_SECONDS = 10


def dump(writer: Writer, manifest: Manifest, folder: Path) -> None:
    """One moment of the database, whoever writes meanwhile; nobody waits for it."""
    with snapshot(), connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        manifest.migrations = list(cursor.fetchall())
        left_out = set(restoring.left_out_tables())
        for name in _tables(_schema()):
            if name not in left_out:
                manifest.tables[name] = _dump_table(writer, name, folder)


def restore(reader: Reader, *, stamp: str, migrate: Callable[[], None]) -> str:
    """Fill a schema beside the old one, then change places, and say where the old one is kept.

    `migrate` brings the new one up to date, and ends what must not live on in it.
    """
    _leave_pool()
    kept = f"parley_{stamp.replace('-', '_').lower()}"
    try:
        with one_at_a_time(connection):
            _check_alone()
            live = _schema()
            with _beside():
                _make_tables(reader.manifest)
                _load(reader)
                migrate()
            return kept if _change_places(live, kept) else ""
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", "") == "42501":
            raise Conflict(
                _("This database user may not create schemas. Grant it CREATE on the database.")
            ) from error
        raise
    finally:
        connection.close()


def _dump_table(writer: Writer, name: str, folder: Path) -> Table:
    columns = _columns(name)
    path = folder / name
    with path.open("wb") as file, _plain().cursor() as cursor:
        with cursor.copy(f"COPY {_quoted(name)} ({_listed(columns)}) TO STDOUT") as rows:
            for chunk in rows:
                file.write(chunk)
        count = cursor.rowcount
    writer.add(path, _member(name))
    path.unlink()
    return Table(count, columns)


def _make_tables(manifest: Manifest) -> None:
    """The tables as they were when the backup was made, by the migrations of that time."""
    executor = MigrationExecutor(connection)
    applied = set(manifest.migrations)
    nodes = executor.loader.graph.node_map
    there = applied & nodes.keys()
    executor.migrate(
        [key for key in there if not any(child.key in there for child in nodes[key].children)]
    )


def _load(reader: Reader) -> None:
    """All rows in one transaction, in any order: foreign keys are looked at in its end."""
    manifest, present = reader.manifest, set(_tables(_NEW))
    if not manifest.tables.keys() <= present:
        raise damaged()
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        for name in present:
            # Rows that may only be added would refuse to be brought back, or be indexed twice.
            cursor.execute(f"ALTER TABLE {_quoted(name)} DISABLE TRIGGER USER")
        cursor.execute(f"TRUNCATE {_listed(sorted(present))}")
        for name, table in manifest.tables.items():
            _load_table(reader, name, table)
        _go_on_counting(cursor, present)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for name in present:
            cursor.execute(f"ALTER TABLE {_quoted(name)} ENABLE TRIGGER USER")


def _load_table(reader: Reader, name: str, table: Table) -> None:
    if not set(table.columns) <= set(_columns(name)):
        raise damaged()
    statement = f"COPY {_quoted(name)} ({_listed(table.columns)}) FROM STDIN"
    with reader.extracted(_member(name)) as file, _plain().cursor() as cursor:
        with cursor.copy(statement) as rows:
            while chunk := file.read(1 << 20):
                rows.write(chunk)
        if cursor.rowcount != table.rows:
            raise damaged()


def _go_on_counting(cursor: Any, names: set[str]) -> None:
    """Numbers that the database gives continue after the highest that is there."""
    cursor.execute(
        """SELECT t.relname, a.attname, pg_get_serial_sequence(quote_ident(t.relname), a.attname)
        FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid
        WHERE t.relnamespace = %s::regnamespace AND t.relname = ANY(%s) AND a.attnum > 0
        AND NOT a.attisdropped
        AND pg_get_serial_sequence(quote_ident(t.relname), a.attname) IS NOT NULL""",
        [_NEW, list(names)],
    )
    for table, column, sequence in cursor.fetchall():
        highest = f"SELECT MAX({_quoted(column)}) FROM {_quoted(table)}"  # noqa: S608
        cursor.execute(
            f"SELECT setval(%s, COALESCE(({highest}), 1), ({highest}) IS NOT NULL)",
            [sequence],
        )


def _change_places(live: str, kept: str) -> bool:
    """The new tables for the old ones, at one moment; False without old ones.

    Table by table, not by renaming the schema: extensions and tables of others live there, too.
    """
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_LOCK_SECONDS}s"])
            _check_alone()
            old = _tables(live)
            if old:
                cursor.execute(f"CREATE SCHEMA {_quoted(kept)}")
                # What of theirs has a counterpart, and no function of an extension or of others.
                _move(cursor, live, kept, old, _functions(live) & _functions(_NEW))
            _move(cursor, _NEW, live, _tables(_NEW), _functions(_NEW))
            cursor.execute(f"DROP SCHEMA {_quoted(_NEW)}")
    except OperationalError as error:
        raise _not_alone() from error
    return bool(old)


def _move(cursor: Any, source: str, target: str, tables: list[str], functions: set[str]) -> None:
    place = _quoted(target)
    for name in tables:
        cursor.execute(f"ALTER TABLE {_quoted(source)}.{_quoted(name)} SET SCHEMA {place}")
    for signature in sorted(functions):
        cursor.execute(f"ALTER FUNCTION {_quoted(source)}.{signature} SET SCHEMA {place}")


@contextmanager
def _beside() -> Iterator[None]:
    """Everything that asks the database sees an empty schema, and nothing of the old one."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {_NEW} CASCADE")  # of a restore that broke off
        cursor.execute(f"CREATE SCHEMA {_NEW}")
        cursor.execute(f"SET search_path TO {_NEW}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path TO DEFAULT")


def _leave_pool() -> None:
    """One connection, which keeps its lock and its path, and no idle ones that look like others."""
    connection.close()
    if connection.settings_dict["OPTIONS"].get("pool"):
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one
        connection.settings_dict["OPTIONS"].pop("pool")


def _check_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
        )
        if cursor.fetchone()[0]:
            raise _not_alone()


def _not_alone() -> Conflict:
    return Conflict(
        _("Another program is connected to the database. Stop all servers and workers first.")
    )


def _schema() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return str(cursor.fetchone()[0])


def _tables(schema: str) -> list[str]:
    """Those of our apps, and Django's."""
    prefixes = ("django_", *(f"{config.label}_" for config in apps.get_app_configs()))
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace
            AND relkind IN ('r', 'p') ORDER BY relname""",
            [schema],
        )
        return [name for (name,) in cursor.fetchall() if name.startswith(prefixes)]


def _functions(schema: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT quote_ident(proname) || '(' || pg_get_function_identity_arguments(oid) || ')'
            FROM pg_proc WHERE pronamespace = %s::regnamespace""",
            [schema],
        )
        return {signature for (signature,) in cursor.fetchall()}


def _columns(name: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0
            AND NOT attisdropped AND attgenerated = '' ORDER BY attnum""",
            [_quoted(name)],
        )
        return [column for (column,) in cursor.fetchall()]


def _plain() -> Any:
    """psycopg's own connection, which knows COPY."""
    connection.ensure_connection()
    return connection.connection


def _quoted(name: str) -> str:
    return str(connection.ops.quote_name(name))


def _listed(names: list[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _member(table: str) -> str:
    return f"tables/{table}"
