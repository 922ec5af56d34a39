"""The log of one turn: what is appended once is read by anyone, from anywhere."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import orjson
import pytest

from chat.streams import events
from chat.streams.events import TurnRef
from chat.streams.log import TurnLog
from tests.chat.processes import text_after


def a_log():
    ref = TurnRef(uuid4(), uuid4(), uuid4(), None)
    log = TurnLog(ref)
    log.begin(events.start(ref, user_message=None, model="echo"))
    return log


def the_end(log, content):
    return events.complete(log.ref.message_id, log.last_seq + 1, {"content": content})


def test_chunks_are_numbered_without_a_gap_and_the_end_takes_the_next_number():
    log = a_log()

    for word in ("a", "b", "c"):
        log.add(word)
    log.finish(the_end(log, "abc"))

    assert [event.seq for event in log.after(-1)] == [0, 1, 2, 3, 4]
    assert [orjson.loads(event.data)["seq"] for event in log.after(-1)] == [0, 1, 2, 3, 4]
    assert log.after(-1)[-1].is_end


@pytest.mark.parametrize("late", ["add", "accept", "replace", "finish", "begin"])
def test_nothing_comes_after_the_end(late):
    """A turn that is ended by somebody else may still be writing: readers must not see that."""
    log = a_log()
    log.add("a")
    end = the_end(log, "a")
    log.finish(end)

    match late:
        case "add":
            log.add("b")
        case "accept":
            log.accept(events.chunk(log.ref.message_id, 3, "b"), "b", "")
        case "replace":
            log.replace(7, "abc", "")
        case "finish":
            log.finish(the_end(log, "b"))
        case "begin":
            log.begin(events.start(log.ref, user_message=None, model="other"))

    assert log.end_event() == end
    assert log.after(-1)[-1] == end
    assert log.content == "a"


def test_a_reader_behind_a_trimmed_log_gets_one_snapshot_and_goes_on():
    log = a_log()
    for word in "abcdefgh":
        log.add(word)
    log.trim()

    behind = log.after(2)

    assert [(event.type, event.seq) for event in behind] == [("snapshot", 8)]
    assert text_after(behind) == "abcdefgh"
    log.add("i")
    log.finish(the_end(log, "abcdefghi"))
    rest = log.after(8)
    assert [event.type for event in rest] == ["chat_chunk", "chat_complete"]
    assert text_after([*behind, *rest]) == "abcdefghi"


def test_a_newcomer_to_a_trimmed_log_gets_start_snapshot_and_end():
    log = a_log()
    for word in "abcdef":
        log.add(word, reasoning=word.upper())
    log.trim()
    log.finish(the_end(log, "abcdef"))

    found = log.after(-1)

    assert [event.type for event in found] == ["chat_start", "snapshot", "chat_complete"]
    snapshot = orjson.loads(found[1].data)
    assert (snapshot["seq"], snapshot["content"], snapshot["reasoning"]) == (6, "abcdef", "ABCDEF")


def test_trimming_gives_memory_back_and_keeps_the_text():
    """R7"""
    log = a_log()
    for _ in range(1_000):
        log.add("word ")
    before = log.size

    for _ in range(12):
        log.trim()

    assert log.size < before / 100
    assert log.content == "word " * 1_000


def test_a_snapshot_replaces_everything_up_to_its_number():
    log = a_log()
    log.add("old")

    log.replace(9, "the whole text", "why")
    log.add("!")

    assert [(event.type, event.seq) for event in log.after(-1)] == [
        ("chat_start", 0),
        ("snapshot", 10),
    ]
    assert [(event.type, event.seq) for event in log.after(9)] == [("chat_chunk", 10)]
    assert (log.content, log.reasoning) == ("the whole text!", "why")


async def everything(log, started):
    """What a reader of the whole log gets, one batch after the other."""
    after = -1
    found: list[Any] = []
    await asyncio.to_thread(started.wait, 10)
    async with asyncio.timeout(30):
        while not (found and found[-1].is_end):
            batch = log.after(after)
            if not batch:
                await log.changed(after)
                continue
            found += batch
            after = batch[-1].seq
    return found


@pytest.fixture
def _threads_switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_switch_often")
def test_readers_on_other_loops_lose_and_repeat_nothing_while_the_log_is_trimmed():
    """E8: the seam between replay and live, with readers on threads of their own."""
    log = a_log()
    whole = "".join(f"{number} " for number in range(6_000))
    started = threading.Barrier(5)

    def write():
        started.wait(10)
        for number in range(6_000):
            log.add(f"{number} ")
            if number % 40 == 0:
                log.trim()
        log.finish(the_end(log, ""))

    with ThreadPoolExecutor(5) as threads:
        readers = [threads.submit(asyncio.run, everything(log, started)) for _ in range(4)]
        threads.submit(write).result(60)
        found = [reader.result(60) for reader in readers]

    assert [text_after(each) == whole for each in found] == [True] * 4
    for each in found:
        numbers = [event.seq for event in each]
        assert numbers == sorted(set(numbers))


def test_a_reader_whose_loop_is_gone_does_not_disturb_the_writer():
    log = a_log()

    async def leave():
        waiting = asyncio.ensure_future(log.changed(0))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave())
    log.add("still writing")

    assert log.content == "still writing"
