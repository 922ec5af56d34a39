"""What a turn's log keeps in memory is about as much as it says."""

from __future__ import annotations

import tracemalloc
from uuid import uuid4

import pytest

from chat.streams import events
from chat.streams.events import TurnRef
from chat.streams.log import TurnLog

CHUNKS = 1_000


@pytest.mark.row("R7")
def test_a_log_takes_little_more_memory_than_its_bytes() -> None:
    """R7: the bounds of logs count the bytes of events, so nothing larger may hide behind them."""
    log = TurnLog(TurnRef(uuid4(), uuid4(), uuid4(), None))
    log.begin(events.start(log.ref, user_message={"content": "x" * 5_000}, model="m"))
    tracemalloc.start()
    try:
        for _ in range(CHUNKS):
            log.add(" word")
        taken, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 3 * log.size


def test_a_line_of_an_event_takes_the_memory_of_its_length() -> None:
    tracemalloc.start()
    try:
        line = events.complete(uuid4(), 2, {"content": "x" * 20_000}).data
        taken, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 1.2 * len(line)
