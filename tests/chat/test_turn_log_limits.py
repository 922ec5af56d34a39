"""R7: what logs may take of the memory, and how long they stay."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from chat.streams import events
from chat.streams.events import TurnRef
from chat.streams.hub import Hub
from chat.streams.log import TurnLog

pytestmark = pytest.mark.row("R7")


@pytest.fixture
def hub():
    return Hub()


def open_log(hub, text="", *, ended=False):
    ref = TurnRef(uuid4(), uuid4(), uuid4(), None)
    log = hub.open(ref, events.start(ref, user_message=None, model="echo"))
    for word in text.split():
        log.add(word)
    if ended:
        log.finish(events.complete(ref.message_id, log.last_seq + 1, {}))
    return log


def follow(hub):
    log = TurnLog(TurnRef(uuid4(), uuid4(), uuid4(), None))
    hub.followed[log.ref.turn_id] = log
    return log


def test_a_turn_that_says_too_much_is_trimmed_and_keeps_its_text(hub, settings):
    settings.TURN_LOG_BYTES = 10_000
    log = open_log(hub)

    for _ in range(1_000):
        log.add("word ")
        hub.changed(log)
        assert log.size <= 10_000

    assert log.content == "word " * 1_000


def test_an_ended_log_is_let_go_after_its_time_and_not_before(hub, settings):
    settings.TURN_LOG_SECONDS = 60
    young, old, running = open_log(hub, ended=True), open_log(hub, ended=True), open_log(hub)
    old.ended_at = time.monotonic() - 61

    hub.sweep()

    assert set(hub.own) == {young.ref.turn_id, running.ref.turn_id}


def test_a_followed_log_that_nobody_reads_is_let_go(hub, settings):
    settings.TURN_LOG_FOLLOW_SECONDS = 5
    unread, read, young = follow(hub), follow(hub), follow(hub)
    for log in (unread, read):
        log.touched_at = time.monotonic() - 6
    read.readers = 1

    hub.sweep()

    assert set(hub.followed) == {read.ref.turn_id, young.ref.turn_id}


def test_a_reader_that_leaves_gives_its_log_the_whole_time_again(hub, settings):
    settings.TURN_LOG_FOLLOW_SECONDS = 5
    log = follow(hub)
    log.touched_at = time.monotonic() - 6
    log.readers = 1
    hub.sweep()

    log.readers = 0
    hub.sweep()

    assert log.ref.turn_id in hub.followed


def test_a_process_with_too_much_lets_go_of_ended_unread_logs_first_the_oldest_first(hub, settings):
    oldest, newer, read, running = (
        open_log(hub, "word " * 100, ended=True),
        open_log(hub, "word " * 100, ended=True),
        open_log(hub, "word " * 100, ended=True),
        open_log(hub, "word " * 100),
    )
    oldest.ended_at, newer.ended_at, read.ended_at = (time.monotonic() - age for age in (9, 5, 20))
    read.readers = 1
    settings.TURN_LOG_PROCESS_BYTES = sum(each.size for each in (newer, read, running)) + 1

    hub.sweep()

    assert set(hub.own) == {newer.ref.turn_id, read.ref.turn_id, running.ref.turn_id}


def test_where_all_logs_are_in_use_the_largest_are_trimmed(hub, settings):
    large, small = open_log(hub, "word " * 1_000), open_log(hub, "word " * 10)
    before = small.size
    settings.TURN_LOG_PROCESS_BYTES = large.size // 2 + small.size + 200

    hub.sweep()

    assert large.size < settings.TURN_LOG_PROCESS_BYTES
    assert small.size == before
    assert large.content == "word" * 1_000


def test_logs_of_other_processes_count_and_are_trimmed_too(hub, settings):
    settings.TURN_LOG_BYTES = 10_000
    log = follow(hub)
    for seq in range(1_000):
        log.accept(events.chunk(log.ref.message_id, seq, "word "), "word ", "")

    for _ in range(10):
        hub.sweep()

    assert log.size <= 10_000
    assert log.content == "word " * 1_000


def test_memory_returns_after_a_thousand_turns(hub, settings):
    for _ in range(1_000):
        log = open_log(hub, "word " * 20, ended=True)
        log.ended_at = time.monotonic() - settings.TURN_LOG_SECONDS - 1

    hub.sweep()

    assert hub.own == {}


def test_turns_that_begin_meanwhile_do_not_disturb_the_sweep(hub):
    """Logs are opened by request threads while the runner's loop sweeps."""

    class OpensAnother(TurnLog):
        @property
        def size(self):
            open_log(hub)
            return 0

        @size.setter
        def size(self, value):
            pass

    log = OpensAnother(TurnRef(uuid4(), uuid4(), uuid4(), None))
    hub.own[log.ref.turn_id] = log
    open_log(hub)

    hub.sweep()

    assert len(hub.own) > 2
