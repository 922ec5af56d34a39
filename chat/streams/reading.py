"""Reading a turn: replay, then live, from any position and any process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from chat.streams.hub import hub

if TYPE_CHECKING:
    from chat.streams.events import Event, TurnRef


async def read_turn(ref: TurnRef, *, after: int = -1) -> AsyncGenerator[list[Event], None]:
    """Yield what comes after `after`, in batches, up to and with the end event.

    -1 means from the start; a position at or beyond the end gives the end again. Close it
    (`aclosing`), so that the log knows that this reader has left.
    """
    log = await hub.follow(ref)
    log.readers += 1
    log.was_read = True
    try:
        while True:
            batch = log.after(after)
            if not batch:
                end = log.end_event() if log.ended else None
                if end is None:
                    await log.changed(after)
                    continue
                batch = [end]
            yield batch
            after = batch[-1].seq
            if batch[-1].is_end:
                return
    finally:
        log.readers -= 1


async def end_of(ref: TurnRef) -> Event:
    """Wait for the end event of a turn."""
    log = await hub.follow(ref)
    async with aclosing(read_turn(ref, after=log.last_seq)) as batches:
        async for batch in batches:
            if batch[-1].is_end:
                return batch[-1]
    raise AssertionError("a turn's log ends with its end event")
