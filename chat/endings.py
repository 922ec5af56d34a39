"""Waiting for the end of a turn, for whoever answers only then."""

from __future__ import annotations

import asyncio

from django.conf import settings

from chat.services.stopping import close_stopped
from chat.streams.events import TurnRef
from chat.streams.reading import end_of
from common.db import in_thread

_ending: set[asyncio.Task[None]] = set()


async def ends_within(turn: TurnRef, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await end_of(turn)
    except TimeoutError:
        return False
    return True


def ending(turn: TurnRef) -> asyncio.Task[None]:
    """See a turn that was asked to stop to its end, whether or not anybody waits for that.

    Its owner ends it within moments; an owner that does not is not there, so we do.
    """
    task = asyncio.create_task(_see_to_the_end(turn))
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    return task


async def _see_to_the_end(turn: TurnRef) -> None:
    if not await ends_within(turn, settings.STOP_WAIT_SECONDS):
        await in_thread(close_stopped)(turn.turn_id)
        await ends_within(turn, settings.STOP_WAIT_SECONDS)
