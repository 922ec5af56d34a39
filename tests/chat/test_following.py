"""Coming to a turn of another process: many at once, one of whom leaves, or a database away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.db import OperationalError

from chat.models import Turn
from chat.services.turn_requests import send_message
from chat.streams import hub as hub_module
from chat.streams.stored import fill, stored_turn
from common.db import in_thread
from tests import needs
from tests.chat.processes import eventually, process, say, text_after

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def turn(alice, conversation, not_launched):
    send_message(alice, conversation.id, content="Go on")
    prepared, start = not_launched.pop()
    return prepared.ref, start


async def save(ref, **fields):
    await in_thread(Turn.objects.filter(pk=ref.turn_id).update)(**fields)


@pytest.fixture
def slow_rows(monkeypatch):
    """The database takes its time until `.set()`; how often it was asked is counted."""
    answered: Any = asyncio.Event()
    real, asked = in_thread, []

    def slow(work):
        async def later(*args):
            asked.append(args)
            await answered.wait()
            return await real(work)(*args)

        return later

    monkeypatch.setattr(hub_module, "in_thread", slow)
    answered.asked = asked
    return answered


async def test_many_who_come_at_once_share_one_load(turn, slow_rows):
    ref, _start = turn
    await save(ref, text="So far.", last_seq=1)

    async with process(redis=False) as other:
        readers = [asyncio.create_task(other.read(ref, stop_at=1)) for _ in range(20)]
        await eventually(lambda: slow_rows.asked, "the row was asked for")
        slow_rows.set()
        found = await asyncio.gather(*readers)

    assert [text_after(each) for each in found] == ["So far."] * 20
    assert len(slow_rows.asked) == 1


@pytest.mark.row("E4")
async def test_the_first_who_came_leaves_and_the_others_stay(turn, slow_rows):
    """E4: a reader that leaves takes nobody along."""
    ref, _start = turn
    await save(ref, text="So far.", last_seq=1)

    async with process(redis=False) as other:
        first = asyncio.create_task(other.read(ref, stop_at=1))
        await eventually(lambda: slow_rows.asked, "the row was asked for")
        second = asyncio.create_task(other.read(ref, stop_at=1))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        slow_rows.set()
        found = await second

    assert text_after(found) == "So far."


async def test_a_database_away_is_told_to_all_who_came_and_the_next_gets_through(turn, monkeypatch):
    """F5: nobody waits for ever for what could not be loaded."""
    ref, _start = turn
    real = stored_turn

    def away(_ref):
        raise OperationalError("away")

    async with process(redis=False) as other:
        monkeypatch.setattr(hub_module, "stored_turn", away)
        refused = await asyncio.gather(*(other.read(ref) for _ in range(3)), return_exceptions=True)
        monkeypatch.setattr(hub_module, "stored_turn", real)
        found = await other.read(ref, stop_at=0)

    assert [type(each) for each in refused] == [OperationalError] * 3
    assert [event.type for event in found] == ["chat_start"]


async def test_without_log_and_redis_each_look_brings_a_snapshot_and_the_row_the_end(turn):
    """ARCHITECTURE, death: a process with neither the log nor Redis."""
    ref, _start = turn

    async with process(redis=False) as other:
        reading = asyncio.create_task(other.read(ref))
        await eventually(lambda: other.hub.followed, "the reader came")
        await save(ref, text="One", last_seq=3)
        await other.hub.look()
        await save(ref, text="One two", last_seq=5)
        await other.hub.look()
        await asyncio.sleep(0)
        await save(ref, status="failed", error_code="upstream_error", last_seq=6)
        await other.hub.look()
        found = await reading

    assert found[0].type == "chat_start"
    assert "snapshot" in [event.type for event in found]
    assert found[-1].type == "chat_error"
    numbers = [event.seq for event in found]
    assert numbers == sorted(set(numbers))


async def test_a_look_asks_nothing_where_nobody_follows(django_assert_num_queries):
    async with process(redis=False) as other:
        await other.hub.look()

        assert other.hub.followed == {}


@pytest.mark.row("F1")
async def test_an_end_follows_the_last_number_that_a_reader_saw(turn):
    """F1: the turn was closed by somebody who could find less of it than this process has."""
    ref, start = turn
    await save(ref, status="failed", error_code="upstream_error", last_seq=1)

    async with process(redis=False) as other:
        log = other.hub.open(ref, start)
        say(other, log, "one ", "two ", "three")
        fill(log, await in_thread(stored_turn)(ref))
        found = await other.read(ref)
        resumed = await other.read(ref, after=2)

    assert [event.seq for event in found] == [0, 1, 2, 3, 4]
    assert [event.seq for event in resumed] == [3, 4]
    assert found[-1].is_end


@pytest.mark.row("A8")
@needs.redis
async def test_a_turn_deleted_elsewhere_ends_its_readers_not_found(turn):
    """The end of a deleted turn reaches readers whose process hears nothing of it."""
    ref, start = turn

    async with process(redis=True) as writer, process(redis=True) as other:
        log = writer.hub.open(ref, start)
        say(writer, log, "One ", "two")
        reading = asyncio.create_task(other.read(ref))
        await eventually(
            lambda: any(each.last_seq == 2 for each in other.hub.followed.values()), "it follows"
        )
        await save(ref, status="stopped", message=None, conversation=None)
        await other.hub.look()
        found = await reading

    assert found[-1].type == "chat_error"
    assert b'"not_found"' in found[-1].data
    assert found[-1].seq == 3
