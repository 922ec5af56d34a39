"""A deadlock in PostgreSQL whose victim is Parley: 503 or another try, and nothing half-written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.e2e.person import register
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import answer
from tests.waiting import until

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
FIRST_LOCKED = "SELECT id FROM chat_conversation WHERE id = %s FOR UPDATE"
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


class Rival:
    """Locks the windows of limits, which turns lock last, and then what they lock first."""

    def __init__(self, url: str) -> None:
        self._look = psycopg.connect(url, autocommit=True)
        self._locking = psycopg.connect(url)
        # It never looks for the circle itself: whoever waits for it does, after a second.
        self._locking.execute("SET deadlock_timeout = '10min'")
        self._locking.execute("SELECT id FROM quotas_window FOR UPDATE")

    def close_the_circle(self, conversation: str) -> None:
        """Once somebody waits for the windows; returns when that one was chosen to give way."""
        until(lambda: self._look.execute(WAITING).fetchall(), "somebody waits", seconds=60)
        self._locking.execute(FIRST_LOCKED, [conversation])
        self._locking.rollback()

    def deadlocks(self) -> int:
        # What a session has counted is told to others when it is idle.
        self._look.execute("SELECT pg_stat_clear_snapshot()")
        found = self._look.execute(DEADLOCKS).fetchone()
        assert found is not None
        return int(found[0])

    def close(self) -> None:
        self._locking.close()
        self._look.close()


@contextmanager
def rival(url: str) -> Iterator[Rival]:
    made = Rival(url)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def person(deployment, upstream):
    """Somebody whose windows are there."""
    upstream.script(answer("Hello."))
    someone = register(deployment.first)
    path = f"conversations/{someone.conversation()}/messages"
    assert someone.call("POST", path, {"content": "Hi"}).status == 201
    return someone


async def test_a_message_that_is_the_victim_is_refused_whole(deployment, upstream, person):
    upstream.script(answer("Never."), answer("Now."))
    reader = Reader(person, person.conversation())
    with rival(deployment.postgresql.url) as other:
        before = other.deadlocks()
        asking = asyncio.create_task(reader.ask())
        await asyncio.to_thread(other.close_the_circle, reader.conversation)
        await asking
        await asyncio.to_thread(until, lambda: other.deadlocks() > before, "a deadlock")

    assert reader.refused is not None
    assert (reader.refused.status, reader.refused.json()["code"]) == (503, "unavailable")
    assert int(reader.refused.headers["retry-after"]) > 0
    again = await Reader(person, reader.conversation).ask()
    assert again.end
    await agree(deployment.first, [reader, again])


async def test_an_end_that_is_the_victim_is_stored_at_the_next_try(deployment, upstream, person):
    upstream.script(spoken(numbers(30), seconds=0.1))
    reader = Reader(person, person.conversation())
    asking = asyncio.create_task(reader.ask())
    await all_began([reader])
    with rival(deployment.postgresql.url) as other:
        before = other.deadlocks()
        await asyncio.to_thread(other.close_the_circle, reader.conversation)
        await asking
        await asyncio.to_thread(until, lambda: other.deadlocks() > before, "a deadlock")

    (message,) = await agree(deployment.first, [reader])
    assert (message["status"], message["content"]) == ("complete", "".join(numbers(30)))
