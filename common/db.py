"""Transactions and threads: the two places where SQLite and the event loop need care."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

from channels.db import database_sync_to_async
from django.db import connection, models, transaction

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=models.Model)

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


def in_thread(
    work: Callable[P, R], *, executor: ThreadPoolExecutor | None = None
) -> Callable[P, Awaitable[R]]:
    """`work` as a coroutine function, in a pool thread that gives its connection back.

    Plain `sync_to_async` outside a request shares one thread for the whole process and leaves
    its connection open. An `executor` of one's own bounds how many connections that work takes.
    """
    return database_sync_to_async(work, thread_sensitive=False, executor=executor)


def update_returning(
    model: type[M],
    *,
    where: dict[str, Any],
    changes: dict[str, Any] | None = None,
    raised: dict[str, int] | None = None,
) -> M | None:
    """One UPDATE of one row that also brings the row: `changes` are set, `raised` are added to.

    The row is locked from here to the end of the transaction. None when nothing matched. All
    names are fields of `model`; values travel as parameters.
    """
    meta = model._meta  # noqa: SLF001 a documented API of Django, whatever its underscore
    quote = connection.ops.quote_name
    params: list[Any] = []

    def column(name: str, value: Any) -> str:
        field = cast("models.Field[Any, Any]", meta.get_field(name))
        params.append(field.get_db_prep_save(value, connection))
        return quote(str(field.column))

    sets = [f"{column(name, value)} = %s" for name, value in (changes or {}).items()]
    for name, amount in (raised or {}).items():
        raised_column = column(name, amount)
        sets.append(f"{raised_column} = {raised_column} + %s")
    conditions = [f"{column(name, value)} = %s" for name, value in where.items()]
    table = quote(meta.db_table)
    query = (
        f"UPDATE {table} SET {', '.join(sets)} "  # noqa: S608 names come from the model
        f"WHERE {' AND '.join(conditions)} RETURNING *"
    )
    return next(iter(list(model._default_manager.raw(query, params))), None)  # noqa: SLF001
