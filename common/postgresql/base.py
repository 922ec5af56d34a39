"""The PostgreSQL backend: Django's, but one dead connection empties the pool of its dead.

Connections die together: a restart, a fail-over, an administrator. psycopg's pool finds them one
by one and waits longer after each (0, 1, 2, 4 s), so that a lone request met its time-out with
the server long back.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    @property
    def pool(self) -> ConnectionPool[Any] | None:
        pool: ConnectionPool[Any] | None = super().pool
        # Django passes its own check and offers no way to pass another.
        if pool is not None and not isinstance(pool._check, partial):  # noqa: SLF001
            pool._check = partial(_check, pool)  # noqa: SLF001
        return pool


def _check(pool: ConnectionPool[Any], connection: Connection[Any]) -> None:
    """Raise if `connection` is dead; then the idle others are dropped and made anew, too."""
    try:
        ConnectionPool.check_connection(connection)
    except Exception:
        pool.drain()
        raise
