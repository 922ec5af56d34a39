"""Redis may forget, refuse or vanish: readers elsewhere get the whole text all the same."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
import weakref
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from chat.models import Message, Turn
from chat.services.turn_requests import send_message
from chat.streams import events
from chat.streams.stored import fill
from common.db import in_thread
from tests import needs
from tests.chat.processes import eventually, pending, process, say, text_after
from tests.server import free_port
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), needs.redis]


@pytest.fixture
def turn(alice, conversation, not_launched):
    send_message(alice, conversation.id, content="Go on")
    prepared, start = not_launched.pop()
    return prepared.ref, start


@pytest.fixture
def store():
    with Redis.from_url(settings.REDIS_URL) as client:
        yield client


def key(ref):
    return f"parley:turn:{ref.turn_id.hex}"


def last_of(other):
    return max((log.last_seq for log in other.hub.followed.values()), default=-1)


def finish(writer, log):
    log.finish(events.complete(log.ref.message_id, log.last_seq + 1, {"content": log.content}))
    writer.hub.changed(log)


@pytest.mark.row("F4")
async def test_a_stream_that_is_gone_begins_again_with_a_snapshot(turn, store):
    """F4: FLUSHALL amid an answer."""
    ref, start = turn

    async with process(redis=True) as writer, process(redis=True) as other:
        log = writer.hub.open(ref, start)
        reading = asyncio.create_task(other.read(ref))
        say(writer, log, "one ", "two ")
        await eventually(lambda: last_of(other) == 2, "the reader follows")
        store.delete(key(ref))
        say(writer, log, "three ", "four ")
        await eventually(lambda: last_of(other) == 4, "the reader follows again")
        first = store.xrange(key(ref))[0][1][b"e"].split(b"\n")
        newcomer = asyncio.create_task(other.read(ref))
        say(writer, log, "five")
        finish(writer, log)
        found, late = await reading, await newcomer

    assert [b'"chat_start"' in first[0], b'"snapshot"' in first[1]] == [True, True]
    assert text_after(found) == text_after(late) == "one two three four five"
    numbers = [event.seq for event in found]
    assert numbers == sorted(set(numbers))
    assert found[-1].is_end


async def test_an_owner_never_makes_a_stream_anew_with_a_mere_chunk(turn, store):
    """NOMKSTREAM: a stream without its beginning would be read as if it were whole."""
    ref, start = turn

    async with process(redis=True) as writer:
        log = writer.hub.open(ref, start)
        say(writer, log, "one ")
        await eventually(lambda: store.exists(key(ref)), "the stream is there")
        store.delete(key(ref))
        say(writer, log, "two ")
        await eventually(lambda: store.exists(key(ref)), "the stream is there again")
        lines = store.xrange(key(ref))[0][1][b"e"]

    assert b'"chat_start"' in lines
    assert b'"one two "' in lines


async def test_of_two_writers_the_second_is_refused_and_readers_see_one_end(turn, store):
    """T5: an entry's id is its number, so that nobody writes over another's end."""
    ref, start = turn

    async with process(redis=True) as owner, process(redis=True) as closer:
        log = owner.hub.open(ref, start)
        reading = asyncio.create_task(closer.read(ref))
        say(owner, log, "one ", "two ")
        await eventually(lambda: last_of(closer) == 2, "the reader follows")

        closer.hub.end_elsewhere(ref, lambda seq: events.error(ref.message_id, seq, "x", "y"))
        await eventually(lambda: b'"chat_error"' in entries(store, ref), "the end is in Redis")
        say(owner, log, "late")
        await eventually(lambda: not pending(owner.hub), "the owner gave up")
        found = await reading
        async with process(redis=True) as third:
            again = await third.read(ref)

    assert [event.type for event in found] == [
        "chat_start",
        "chat_chunk",
        "chat_chunk",
        "chat_error",
    ]
    assert [event.seq for event in found] == [0, 1, 2, 3]
    assert again == found


def entries(store, ref):
    return b"\n".join(fields[b"e"] for _id, fields in store.xrange(key(ref)))


async def test_an_end_without_a_stream_makes_none(turn, store):
    ref, _start = turn

    async with process(redis=True) as closer:
        closer.hub.end_elsewhere(ref, lambda seq: events.error(ref.message_id, seq, "x", "y"))
        await eventually(lambda: not pending(closer.hub), "it was tried")

    assert not store.exists(key(ref))


async def test_an_owner_that_writes_on_does_not_keep_an_end_out_for_ever(turn, store, monkeypatch):
    """The end is tried three times; then the readers' look at the row brings it."""
    ref, start = turn

    async with process(redis=True) as owner, process(redis=True) as closer:
        log = owner.hub.open(ref, start)
        say(owner, log, "one ")
        await eventually(lambda: store.exists(key(ref)), "the stream is there")
        mirror: Any = closer.hub.mirror
        writer = mirror._quick  # noqa: SLF001 where it meets the owner
        real = writer.xrevrange

        async def late(*args, **more):
            last = await real(*args, **more)
            before = store.xlen(key(ref))
            say(owner, log, "more ")
            await eventually(lambda: store.xlen(key(ref)) > before, "the owner was faster")
            return last

        monkeypatch.setattr(writer, "xrevrange", late)
        closer.hub.end_elsewhere(ref, lambda seq: events.error(ref.message_id, seq, "x", "y"))
        await eventually(lambda: not pending(closer.hub), "it was given up")

    assert log.last_seq == 4
    assert b"chat_error" not in entries(store, ref)


async def test_a_write_refused_for_another_reason_is_made_up_for(turn, store):
    """F4: a Redis that is full or read-only for a moment; WRONGTYPE stands for all refusals."""
    ref, start = turn

    async with process(redis=True) as writer, process(redis=True) as other:
        log = writer.hub.open(ref, start)
        say(writer, log, "one ")
        await eventually(lambda: store.exists(key(ref)), "the stream is there")
        store.set(key(ref), "in the way")
        say(writer, log, "two ")
        await eventually(lambda: refused(writer, ref), "the write was refused")
        store.delete(key(ref))
        say(writer, log, "three")
        await eventually(lambda: store.exists(key(ref)), "the stream is there again")
        finish(writer, log)
        found = await other.read(ref)

    assert text_after(found) == "one two three"
    assert found[-1].is_end


def refused(writer, ref):
    outgoing = writer.hub.mirror.writer._outgoing.get(ref.turn_id)  # noqa: SLF001 nobody else need know
    return outgoing is None or outgoing.whole


@contextmanager
def redis_on(port, folder):
    process = subprocess.Popen(
        [
            shutil.which("redis-server") or "redis-server",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(port), "Redis answers")
        yield process
    finally:
        process.kill()
        process.wait()


def _answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.row("F4")
@needs.redis_server
async def test_redis_vanishes_amid_an_answer_and_comes_back_empty(turn, tmp_path):
    """F4: the text is identical; what follows is delivered again without a restart."""
    ref, start = turn
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"

    with redis_on(port, tmp_path) as first:
        async with process(redis=True, url=url) as writer, process(redis=True, url=url) as other:
            log = writer.hub.open(ref, start)
            reading = asyncio.create_task(other.read(ref))
            say(writer, log, "one ", "two ")
            await eventually(lambda: last_of(other) == 2, "the reader follows")
            first.kill()
            first.wait()
            say(writer, log, "three ")
            late = asyncio.create_task(other.read(ref))
            await asyncio.sleep(0.2)
            with redis_on(port, tmp_path):
                say(writer, log, "four ")
                began = time.monotonic()
                await eventually(lambda: last_of(other) == 4, "the reader follows again")
                took = time.monotonic() - began
                finish(writer, log)
                found, newcomer = await reading, await late

    assert text_after(found) == text_after(newcomer) == "one two three four "
    assert found[-1].is_end
    assert took < 10


@pytest.mark.row("F4")
async def test_readers_without_redis_are_served_from_the_row(turn, tmp_path):
    """F4: Redis down from the start."""
    ref, _start = turn
    url = f"redis://127.0.0.1:{free_port()}/0"
    rows = Turn.objects.filter(pk=ref.turn_id)
    await in_thread(rows.update)(text="one two", last_seq=2)

    async with process(redis=True, url=url) as other:
        reading = asyncio.create_task(other.read(ref))
        await eventually(lambda: last_of(other) == 2, "the row was read")
        await in_thread(Message.objects.filter(pk=ref.message_id).update)(content="one two three")
        await in_thread(rows.update)(last_seq=3, status="failed", error_code="upstream_error")
        await other.hub.look()
        found = await reading

    assert found[-1].is_end
    assert text_after(found) == "one two three"


async def test_a_stop_reaches_the_owner_through_redis(turn):
    ref, _start = turn

    async with process(redis=True) as owner, process(redis=True) as other:
        mirror: Any = other.hub.mirror
        await mirror.writer.request_stop(owner.owner, ref.turn_id)
        await eventually(lambda: owner.stopped == [ref.turn_id], "the owner heard")


async def test_an_answer_that_is_over_is_not_begun_anew(turn, store):
    """It may have been taken back: its person was erased as its end was on its way."""
    ref, start = turn

    async with process(redis=True) as writer:
        log = writer.hub.open(ref, start)
        say(writer, log, "one ")
        await eventually(lambda: store.exists(key(ref)), "the stream is there")
        finish(writer, log)
        store.delete(key(ref))
        await eventually(lambda: not pending(writer.hub), "the end was tried")

    assert not store.exists(key(ref))


async def test_of_a_deleted_answer_redis_keeps_for_seconds_that_it_was_deleted(turn, store):
    """Its owner hears of it from the row, and has written on until then."""
    ref, start = turn

    async with process(redis=True) as owner, process(redis=True) as other:
        log = owner.hub.open(ref, start)
        reading = asyncio.create_task(other.read(ref))
        say(owner, log, "one ", "two ")
        await eventually(lambda: last_of(other) == 2, "the reader follows")
        fill(log, None)
        owner.hub.changed(log)
        await eventually(lambda: not pending(owner.hub), "the end was written")
        found = await reading
        told = entries(store, ref)

    assert [event.seq for event in found] == [0, 1, 2, 3]
    assert found[-1].data == told
    assert b"not_found" in told
    assert 0 < store.ttl(key(ref)) <= 10


@pytest.mark.row("G5")
async def test_streams_do_not_live_for_ever(turn, store):
    """Turn logs are gone after an hour."""
    ref, start = turn

    async with process(redis=True) as writer:
        log = writer.hub.open(ref, start)
        say(writer, log, "one")
        await eventually(lambda: store.exists(key(ref)), "the stream is there")

    assert 0 < store.ttl(key(ref)) <= settings.TURN_LOG_REDIS_SECONDS


@pytest.mark.row("G5")
async def test_what_a_process_hears_with_does_not_live_for_ever(turn, store):
    """A process that died before anybody spoke to it leaves nothing either."""
    ref, _start = turn

    async with process(redis=True) as other:
        reading = asyncio.create_task(other.read(ref))
        control = f"parley:runner:{other.owner}"
        await eventually(lambda: store.exists(control), "the reader woke its process")
        await eventually(lambda: store.ttl(control) > 0, "it was given its time")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    assert 0 < store.ttl(control) <= settings.TURN_LOG_REDIS_SECONDS


async def test_ends_that_redis_never_took_are_dropped_with_their_logs(turn, settings):
    """R6: while Redis is away, what was written of ended turns does not gather here."""
    settings.TURN_LOG_SECONDS = 0
    ref, start = turn

    async with process(redis=True, url=f"redis://127.0.0.1:{free_port()}/0") as closer:
        whole = closer.hub.open(ref, start)

        def end(seq):
            return events.error(ref.message_id, seq, "x", "y")

        held = weakref.ref(end)
        closer.hub.end_elsewhere(ref, end, whole=whole)
        del end
        assert held() is not None
        await eventually(lambda: held() is None, "the end was dropped")
