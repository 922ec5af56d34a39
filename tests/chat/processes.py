"""Other processes, as far as streams are concerned: hubs of their own, on the test's loop.

Each has its own logs and its own connection to Redis; a reader reads through the hub that it is
given, as `chat.streams.reading` would in that process.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.conf import settings

from chat.streams import reading
from chat.streams.events import Event, TurnRef
from chat.streams.hub import Hub
from chat.streams.log import TurnLog
from chat.streams.mirror import Mirror
from tests.waiting import DEADLINE_SECONDS


class Process:
    """A hub with what surrounds it in a process."""

    def __init__(self, hub: Hub, owner: str, stopped: list[UUID]) -> None:
        self.hub, self.owner, self.stopped = hub, owner, stopped
        self._reading = _reading_through(hub)

    def follow(self, ref: TurnRef, *, after: int = -1) -> AsyncGenerator[list[Event], None]:
        """`read_turn` in this process."""
        stream: AsyncGenerator[list[Event], None] = self._reading.read_turn(ref, after=after)
        return stream

    async def read(
        self, ref: TurnRef, *, after: int = -1, stop_at: int | None = None
    ) -> list[Event]:
        """What a reader gets, to the end or until it has `stop_at` and leaves."""
        found: list[Event] = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            async with aclosing(self.follow(ref, after=after)) as batches:
                async for batch in batches:
                    for event in batch:
                        found.append(event)
                        if stop_at is not None and event.seq >= stop_at:
                            return found
        return found


def _reading_through(hub: Hub) -> ModuleType:
    """`chat.streams.reading`, loaded once more with another hub."""
    spec = importlib.util.spec_from_file_location("reading_elsewhere", reading.__file__)
    if spec is None or spec.loader is None:
        raise AssertionError("a module has a loader")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.hub = hub  # type: ignore[attr-defined]
    return module


@asynccontextmanager
async def process(*, redis: bool, url: str = "") -> AsyncGenerator[Process, None]:
    """A process that begins and ends here; with `redis`, mirrored there."""
    hub, owner = Hub(), f"server-{uuid4().hex}"
    stopped: list[Any] = []
    mirror = Mirror(url or settings.REDIS_URL, owner, on_stop=stopped.append) if redis else None
    hub.attach(asyncio.get_running_loop(), mirror)
    try:
        yield Process(hub, owner, stopped)
    finally:
        if mirror is not None:
            await mirror.close()


def pending(hub: Hub) -> list[Any]:
    """What a process has still to write to Redis."""
    if hub.mirror is None:
        return []
    writer = hub.mirror.writer
    return [*writer._outgoing.values(), *writer._ends]  # noqa: SLF001 nobody else need know


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait, on the loop, until `condition` holds."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"did not happen: {what}") from None


def say(writer: Process, log: TurnLog, *words: str) -> None:
    """Append words to a log of `writer`'s, each as a chunk."""
    for word in words:
        log.add(word)
        writer.hub.changed(log)


def text_after(found: list[Event], *, before: str = "") -> str:
    """What a reader that had `before` has after these events."""
    text = before
    for event in found:
        body = orjson.loads(event.data)
        if event.type == "snapshot":
            text = body["content"]
        elif event.type == "chat_chunk":
            text += body["content"]
    return text
