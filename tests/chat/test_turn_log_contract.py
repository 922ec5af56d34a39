"""One contract for readers, whether the log is in this process or followed through Redis."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import orjson
import pytest

from chat.models import Message, Turn
from chat.services.turn_requests import send_message
from chat.streams import events
from common.db import in_thread
from tests import needs
from tests.chat.processes import eventually, process, say, text_after

WORDS = [f"word {number} " for number in range(38)]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["in memory", pytest.param("through Redis", marks=needs.redis)])
def redis(request):
    return request.param == "through Redis"


@asynccontextmanager
async def writer_and_reader(redis):
    """The process that runs the turn, and the one that its readers come to."""
    async with process(redis=redis) as writer:
        if not redis:
            yield writer, writer
            return
        async with process(redis=True) as reader:
            yield writer, reader


@pytest.fixture
def turn(alice, conversation, not_launched):
    """A committed turn with its first event, run by nobody but the test."""
    send_message(alice, conversation.id, content="Go on")
    prepared, start = not_launched.pop()
    return prepared.ref, start


def readers_of(process):
    logs = [*process.hub.own.values(), *process.hub.followed.values()]
    return sum(log.readers for log in logs)


async def end(writer, log):
    """What the owner does at the end: store it, then say it."""
    turn = await in_thread(Turn.objects.get)(pk=log.ref.turn_id)
    message = await in_thread(Message.objects.get)(pk=log.ref.message_id)
    message.content, message.status = log.content, "complete"
    turn.status, turn.last_seq = "complete", log.last_seq
    await in_thread(message.save)()
    await in_thread(turn.save)()
    body = events.message_fields(message, siblings=[])
    log.finish(events.complete(log.ref.message_id, log.last_seq + 1, body))
    writer.hub.changed(log)


async def speak(writer, log, *, pause=0.0):
    for word in WORDS:
        say(writer, log, word)
        await asyncio.sleep(pause)
    await end(writer, log)


async def test_forty_events_cut_after_each_of_them_and_resumed_give_the_same_bytes(redis, turn):
    ref, start = turn

    async def cut(reader, at):
        first = await reader.read(ref, stop_at=at)
        return [*first, *await reader.read(ref, after=first[-1].seq)]

    async with writer_and_reader(redis) as (writer, reader):
        log = writer.hub.open(ref, start)
        writer.hub.changed(log)
        readers = [asyncio.create_task(cut(reader, at)) for at in range(40)]
        await speak(writer, log, pause=0.005)
        found = await asyncio.gather(*readers)
        again = [await cut(reader, at) for at in range(40)]

    whole = log.after(-1)
    assert len(whole) == 40
    # Who has the end and asks for more gets the end again.
    expected = [whole] * 39 + [[*whole, whole[-1]]]
    assert [found == expected, again == expected] == [True, True]


@pytest.mark.row("E8")
async def test_a_thousand_random_joins_lose_and_repeat_nothing(redis, turn):
    """E8: the seam between replay and live."""
    ref, start = turn
    chance = random.Random(8)  # noqa: S311 the same joins each time

    async def join(reader, log):
        await asyncio.sleep(chance.random() / 2)
        after = chance.randint(-1, log.last_seq)
        leaves = chance.choice([None, after + chance.randint(1, 9)])
        found = await reader.read(ref, after=after, stop_at=leaves)
        if not found[-1].is_end:
            found += await reader.read(ref, after=found[-1].seq)
        return after, found

    async with writer_and_reader(redis) as (writer, reader):
        log = writer.hub.open(ref, start)
        writer.hub.changed(log)
        await reader.read(ref, stop_at=0)
        readers = [asyncio.create_task(join(reader, log)) for _ in range(1_000)]
        await speak(writer, log, pause=0.01)
        joined = await asyncio.gather(*readers)

    whole = log.after(-1)
    # A reader that knows more than its process has yet waits for what follows.
    assert all(found == whole[after + 1 :] or found == whole[-1:] for after, found in joined)
    assert sum(found == whole[after + 1 :] for after, found in joined) > 900


async def test_a_trimmed_log_gives_one_snapshot_and_goes_on(redis, turn, settings):
    """R7: what is too much to keep is one snapshot for whoever is behind."""
    settings.TURN_LOG_BYTES = 1_000
    ref, start = turn

    async with writer_and_reader(redis) as (writer, reader):
        log = writer.hub.open(ref, start)
        say(writer, log, *WORDS)
        late = asyncio.create_task(reader.read(ref))
        behind = asyncio.create_task(reader.read(ref, after=3))
        await asyncio.sleep(0)
        await speak(writer, log)
        newcomer, resumed = await late, await behind

    text = "".join(WORDS * 2)
    assert [event.type for event in newcomer].count("snapshot") == 1
    assert newcomer[0].type == "chat_start"
    assert text_after(newcomer) == text
    assert [event.type for event in resumed].count("snapshot") == 1
    assert text_after(resumed, before="".join(WORDS[:3])) == text
    numbers = [event.seq for event in newcomer]
    assert numbers == sorted(set(numbers))


async def test_readers_that_come_before_the_first_event_get_it_all(redis, turn):
    ref, start = turn

    async with writer_and_reader(redis) as (writer, reader):
        log = writer.hub.open(ref, start)
        early = [asyncio.create_task(reader.read(ref)) for _ in range(5)]
        await eventually(lambda: readers_of(reader) == 5, "all readers came")
        await speak(writer, log)
        found = await asyncio.gather(*early)

    assert all(each[0].type == "chat_start" for each in found)
    assert all(each[-1] == log.end_event() for each in found)
    assert [text_after(each) for each in found] == ["".join(WORDS)] * 5


async def test_reasoning_and_tool_calls_travel_beside_the_text(redis, turn):
    ref, start = turn
    call = {"id": "c1", "name": "look_up", "arguments": "{}"}

    async with writer_and_reader(redis) as (writer, reader):
        log = writer.hub.open(ref, start)
        reading = asyncio.create_task(reader.read(ref))
        await eventually(lambda: readers_of(reader) == 1, "the reader came")
        log.add("", reasoning="Let me think.")
        log.add("", tool_call=call)
        log.add("Done.")
        writer.hub.changed(log)
        await end(writer, log)
        found = await reading

    bodies = [orjson.loads(event.data) for event in found]
    chunks = [body for body in bodies if body["type"] == "chat_chunk"]
    assert [chunk["seq"] for chunk in chunks] == [1, 2, 3]
    assert chunks[0]["reasoning"] == "Let me think."
    assert chunks[1]["tool_call"] == call
    assert chunks[2]["content"] == "Done."


async def test_a_reader_that_leaves_is_no_longer_counted(redis, turn):
    """E4: the log knows who reads."""
    ref, start = turn

    async with writer_and_reader(redis) as (writer, reader):
        log = writer.hub.open(ref, start)
        writer.hub.changed(log)
        waiting = asyncio.create_task(reader.read(ref))
        await eventually(lambda: readers_of(reader) == 1, "a reader was counted")

        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert readers_of(reader) == 0
