"""Transactions and threads: the two places where SQLite and the event loop need care."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.db import OperationalError, close_old_connections, connection, transaction
from django.utils.translation import gettext as _

from common.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")

_QUERY_CANCELED = "57014"  # PostgreSQL's, for a statement timeout as well
# How often SQLite asks whether to go on, in steps of its machine: a row takes about ten.
_SQLITE_STEPS = 1_000

# Reentrant: what runs on commit may write too.
_sqlite_writer = threading.RLock()


@contextmanager
def write_transaction() -> Iterator[None]:
    """A transaction that writes.

    On SQLite the writers of this process queue here first: its own waiting is unfair (seen: p99
    of the first token 449 ms without this lock, 68 ms with it). Nested use joins the outer one.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    with _sqlite_writer, transaction.atomic():
        yield


@contextmanager
def snapshot() -> Iterator[None]:
    """A transaction that only reads, everything as of one moment; nobody waits for it.

    Not for use within a transaction.
    """
    if connection.vendor == "sqlite":
        with _deferred_in_sqlite(), transaction.atomic(durable=True):
            yield
        return
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


@contextmanager
def _deferred_in_sqlite() -> Iterator[None]:
    """Transactions begin without the lock of whoever writes."""
    connection.ensure_connection()
    here: Any = connection
    usual = here.transaction_mode
    here.transaction_mode = "DEFERRED"
    try:
        yield
    finally:
        here.transaction_mode = usual


@contextmanager
def bounded_query(seconds: float) -> Iterator[None]:
    """For reads that a caller can make slow: ends a statement that takes longer than `seconds`.

    Raises Unavailable then. Not for use within a transaction.
    """
    bounded = _bounded_in_sqlite if connection.vendor == "sqlite" else _bounded_in_postgresql
    try:
        with bounded(seconds):
            yield
    except OperationalError as error:
        if not _was_ended(error):
            raise
        raise Unavailable(_("This took too long. Look for something more particular.")) from error


@contextmanager
def _bounded_in_sqlite(seconds: float) -> Iterator[None]:
    ends_at = time.monotonic() + seconds
    connection.ensure_connection()
    # Held on to: closing Django's connection on the way must not leave the handler in place.
    here: sqlite3.Connection = connection.connection
    here.set_progress_handler(lambda: time.monotonic() >= ends_at, _SQLITE_STEPS)
    try:
        yield
    finally:
        here.set_progress_handler(None, 0)


@contextmanager
def _bounded_in_postgresql(seconds: float) -> Iterator[None]:
    # Durable: in somebody else's transaction the timeout would stay until that one ends.
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            milliseconds = max(1, round(seconds * 1_000))  # 0 would mean without end
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])
        yield


def _was_ended(error: OperationalError) -> bool:
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return cause.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
    return getattr(cause, "sqlstate", None) == _QUERY_CANCELED


def release_connection() -> None:
    """Give this thread's connection back to the pool, before a wait that is not the database's.

    Within a transaction nothing happens: it needs its connection.
    """
    if not connection.in_atomic_block:
        close_old_connections()


def in_thread(
    work: Callable[P, R], *, executor: ThreadPoolExecutor | None = None
) -> Callable[P, Awaitable[R]]:
    """`work` as a coroutine function, in a pool thread that gives its connection back.

    Plain `sync_to_async` outside a request shares one thread for the whole process and leaves
    its connection open. An `executor` of one's own bounds how many connections that work takes.
    """
    return database_sync_to_async(work, thread_sensitive=False, executor=executor)
