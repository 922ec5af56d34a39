"""One migration at a time, whoever begins it: a server's start, a command, a restored backup."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from config.secret_files import private_directory

_LOCK = 0x70_61_72_6C  # "parl"

# This process holds the lock already: on a file it would else wait for itself.
_held: set[str] = set()


@contextmanager
def one_at_a_time(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Wait until nobody else migrates this database, then keep others waiting."""
    if connection.alias in _held:
        yield
        return
    lock = _on_postgresql(connection) if connection.vendor == "postgresql" else _on_a_file()
    with lock:
        _held.add(connection.alias)
        try:
            yield
        finally:
            _held.discard(connection.alias)


@contextmanager
def _on_postgresql(connection: BaseDatabaseWrapper) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


@contextmanager
def _on_a_file() -> Iterator[None]:
    private_directory(settings.DATA_DIR)
    with Path(settings.DATA_DIR, "migrate.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
