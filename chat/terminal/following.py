"""Showing a turn while it is written. Ctrl-C asks for its end; the text so far is kept."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from chat.services.stopping import ending, request_stop
from chat.streams.reading import end_of, read_turn
from chat.turns.runner import runner
from common.db import in_thread

if TYPE_CHECKING:
    from accounts.services.callers import Caller
    from chat.streams.events import Event, TurnRef

_SIGNALLED = 128


class Screen(Protocol):
    """Where an answer goes."""

    def show(self, event: Event) -> None:
        """Take the next event of the turn."""

    def stopping(self) -> None:
        """The person asked for the end."""


class Signals:
    """What reaches a running command from outside.

    Ctrl-C sets `stop`; SIGTERM, and a terminal that is gone, cancel the task that listens, and
    `code` is what to exit with then.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.code = 0

    def listen(self) -> None:
        """Again after every prompt: it takes SIGINT for itself and does not give it back."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        self.stop.clear()
        loop.add_signal_handler(signal.SIGINT, self.stop.set)

        def leave(number: int) -> None:
            self.code = _SIGNALLED + number
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, leave, number)


async def follow(caller: Caller, ref: TurnRef, screen: Screen, signals: Signals) -> dict[str, Any]:
    """Show a turn to its end, and give that: a `chat_complete` or a `chat_error` as it was sent.

    Raises BrokenPipeError where nobody reads the screen any more; the turn is stopped then.
    """
    runner.ensure()  # a turn of another process is only seen to move where somebody looks
    reading = asyncio.create_task(_read(ref, screen))
    asked = asyncio.create_task(signals.stop.wait())
    try:
        await asyncio.wait({reading, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            screen.stopping()
            await _stop(caller, ref)
        return await reading
    except BrokenPipeError:
        await _stop(caller, ref)
        await end_of(ref)
        raise
    finally:
        reading.cancel()
        asked.cancel()


async def _read(ref: TurnRef, screen: Screen) -> dict[str, Any]:
    async with aclosing(read_turn(ref)) as batches:
        async for batch in batches:
            for event in batch:
                screen.show(event)
            if batch[-1].is_end:
                end: dict[str, Any] = orjson.loads(batch[-1].data)
                return end
    raise AssertionError("a turn's log ends with its end event")


async def _stop(caller: Caller, ref: TurnRef) -> None:
    if await in_thread(request_stop)(caller, ref.message_id) is not None:
        # Its owner may be another process, and gone: then the turn is ended from here.
        ending(ref)
