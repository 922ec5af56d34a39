"""A pool whose connections all died serves the next request at once (F5)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from common.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no pool: played in the run on PostgreSQL"
)

NAME = "pool-test"


@pytest.fixture
def wrapper(transactional_db: None) -> Iterator[DatabaseWrapper]:
    """A connection beside the tests' own, with a pool of its own."""
    named = connection.settings_dict["OPTIONS"] | {"application_name": NAME}
    kept = DatabaseWrapper(connection.settings_dict | {"OPTIONS": named}, NAME)
    yield kept
    kept.close()
    kept.close_pool()


def ask(wrapper: DatabaseWrapper) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
    wrapper.close()
    return pid


@pytest.mark.row("F5")
def test_one_dead_connection_drops_the_idle_others_without_waiting(wrapper, monkeypatch):
    pool = wrapper.pool
    assert pool is not None
    pool.open()
    pool.resize(6, 6)
    pool.wait()
    waits: list[float] = []
    monkeypatch.setattr("psycopg_pool.pool.sleep", waits.append)
    parameters = connection.get_connection_params()
    address = {name: parameters[name] for name in ("dbname", "user", "host", "port")}
    with psycopg.connect(**address, password=parameters.get("password"), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [NAME],
        )

    assert ask(wrapper)

    # Beyond the first, which is 0: they would be 1, 2 and 4 s.
    assert sum(waits) < 1
