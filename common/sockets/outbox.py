"""What waits to be sent over one socket, and the task that sends it (W6)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

from common import pulse

Send = Callable[[dict[str, Any]], Awaitable[None]]

# A reader of a log waits for the socket above this, so that a long replay neither fills the
# queue nor delays a pong by more than this much.
EASY_BYTES = 64 << 10


class Outbox:
    """A bounded queue of frames.

    `put` never waits: what comes from elsewhere must be taken or refused at once. Whoever can
    wait awaits `room` first. When more than SOCKET_UNSENT_BYTES wait, or the oldest frame waits
    for more than SOCKET_UNSENT_SECONDS, `on_slow` is called, once.
    """

    def __init__(self, send: Send, *, on_slow: Callable[[], None]) -> None:
        self._send = send
        self._on_slow = on_slow
        # A frame, or the code to close with, and since when it waits.
        self._waiting: deque[tuple[bytes | int, float]] = deque()
        self._bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._roomy: asyncio.Future[None] | None = None
        self._is_shut = False
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._keep_sending(), name="socket outbox")

    def put(self, data: bytes) -> None:
        """Queue a frame (JSON in UTF-8). After `shut` it goes nowhere.

        One frame may be larger than the bound: the end of a turn holds its whole answer.
        """
        if self._is_shut:
            return
        if self._bytes > settings.SOCKET_UNSENT_BYTES:
            self._tell_slow()
        else:
            self._push(data)

    def shut(self, code: int) -> None:
        """Close with `code` behind what is queued; further frames are dropped."""
        if not self._is_shut:
            self._push(code)
            self._is_shut = True

    async def room(self) -> None:
        """Wait until little enough is queued to add more."""
        while self._bytes > EASY_BYTES and not self._is_shut:
            if self._roomy is None:
                self._roomy = self._loop.create_future()
            await asyncio.shield(self._roomy)

    async def done(self) -> None:
        """Wait until the close frame is out, or nothing will be sent any more."""
        await asyncio.wait([self._task])

    async def abandon(self) -> None:
        """Send nothing more."""
        self._is_shut = True
        pulse.unwatch(self)
        self._release()
        self._task.cancel()
        await asyncio.wait([self._task])

    def beat(self, now: float) -> None:
        if self._waiting and now - self._waiting[0][1] > settings.SOCKET_UNSENT_SECONDS:
            self._tell_slow()

    def _push(self, item: bytes | int) -> None:
        if not self._waiting:
            pulse.watch(self)
        self._waiting.append((item, self._loop.time()))
        if isinstance(item, bytes):
            self._bytes += len(item)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _tell_slow(self) -> None:
        pulse.unwatch(self)
        self._is_shut = True
        self._release()
        self._on_slow()

    def _release(self) -> None:
        if self._roomy is not None:
            if not self._roomy.done():
                self._roomy.set_result(None)
            self._roomy = None

    async def _keep_sending(self) -> None:
        try:
            while True:
                if not self._waiting:
                    pulse.unwatch(self)
                    self._wake = self._loop.create_future()
                    await self._wake
                item, _since = self._waiting[0]
                if isinstance(item, int):
                    await self._send({"type": "websocket.close", "code": item})
                    return
                await self._send({"type": "websocket.send", "text": item.decode()})
                self._waiting.popleft()
                self._bytes -= len(item)
                if self._bytes <= EASY_BYTES:
                    self._release()
        except OSError:
            # The peer is gone; `receive` says so too, and ends the consumer.
            self._is_shut = True
        finally:
            pulse.unwatch(self)
            self._release()
