"""Event streams over HTTP: admitted, kept alive, cut when the reader or its sign-in is gone.

Two roads lead out. `StreamingHandler`, ours, hands every chunk straight to the server; any other
handler (test client, `runserver`) iterates the response and gets the same bytes through a queue.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import quote_from_bytes
from uuid import UUID

import structlog
from asgiref.sync import ThreadSensitiveContext
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from common import pulse
from common.errors import RateLimited
from common.metrics import active_streams
from common.problems import as_app_error
from common.sse import COMMENT, MEDIA_TYPE
from common.threads import request_threads

logger = structlog.get_logger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]

HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
RETRY_SECONDS = 5
_ASCII = bytes(range(128))


class Slot:
    """The place of one stream among those that a person may have open (E5)."""

    __slots__ = ("_is_held", "user_id")

    _lock = threading.Lock()
    _held: Counter[UUID] = Counter()

    def __init__(self, user_id: UUID) -> None:
        """Take a place; raises RateLimited when all are taken."""
        self.user_id = user_id
        self._is_held = False
        with Slot._lock:
            if Slot._held[user_id] >= settings.STREAMS_PER_USER:
                raise RateLimited(_("Too many open streams."), retry_after=RETRY_SECONDS)
            Slot._held[user_id] += 1
            self._is_held = True

    def release(self) -> None:
        with Slot._lock:
            if not self._is_held:
                return
            self._is_held = False
            Slot._held[self.user_id] -= 1
            if not Slot._held[self.user_id]:
                del Slot._held[self.user_id]


class EventStreamResponse(StreamingHttpResponse):
    """An answer of ready SSE bytes. `credential_id` is what it lives and dies with.

    `last_words` are said where it is cut, to readers who know no other way to tell it from an end.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        *,
        slot: Slot,
        credential_id: UUID | None,
        scope: dict[str, Any] | None = None,
        last_words: bytes = b"",
    ) -> None:
        super().__init__(self._relayed(), content_type=MEDIA_TYPE, headers=HEADERS)
        self.chunks = chunks
        self.slot = slot
        self.credential_id = credential_id
        self.last_words = last_words
        self._drop = ((scope or {}).get("extensions") or {}).get("parley.drop")
        self._is_cut = False
        self._task: asyncio.Task[Any] | None = None
        self._relay: asyncio.Task[None] | None = None
        self._blocked_since: float | None = None
        # A response that is lost on its way is never closed.
        weakref.finalize(self, slot.release)

    def close(self) -> None:
        super().close()
        self.slot.release()
        if self._relay is not None:
            self._relay.get_loop().call_soon_threadsafe(self._relay.cancel)

    async def stream_to(self, send: Send) -> None:
        """Send every chunk as the body of an answer that has begun."""
        self._send, self._loop = send, asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._sent_at = self._loop.time()
        open_streams.add(self)
        active_streams.inc()
        pulse.watch(self)
        try:
            await self._send_chunks()
            await self._say(b"", more=False)
        finally:
            pulse.unwatch(self)
            open_streams.discard(self)
            active_streams.dec()
            self.slot.release()

    async def _send_chunks(self) -> None:
        try:
            async with aclosing(self.chunks) as chunks:
                async for chunk in chunks:
                    await self._say(chunk)
        except asyncio.CancelledError:
            if not self._is_cut or self._task is None:
                raise
            self._task.uncancel()
            if self.last_words:
                await self._say(self.last_words)

    def let_go(self) -> None:
        """It is out. What holds the response that holds it would keep it, and all of its request,
        until a collection of garbage (R7)."""
        self.streaming_content = ()
        self._task = None

    def cut(self) -> None:
        """End the answer now, from any thread; the turn that it tells of goes on."""
        self._is_cut = True
        if (task := self._task) is not None:
            self._loop.call_soon_threadsafe(task.cancel)

    def beat(self, now: float) -> None:
        if self._blocked_since is not None:
            if now - self._blocked_since > settings.STREAM_STALLED_SECONDS:
                self.drop()
        elif now - self._sent_at > settings.STREAM_COMMENT_SECONDS - 2 * pulse.BEAT_SECONDS:
            self._sent_at = now
            _keep(self._loop.create_task(self._say(COMMENT)))

    async def _say(self, chunk: bytes, *, more: bool = True) -> None:
        if self._blocked_since is None:
            self._blocked_since = self._loop.time()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        self._blocked_since = None
        self._sent_at = self._loop.time()

    def drop(self) -> None:
        """Break the connection: a polite end would wait behind what the peer does not read."""
        if self._drop is not None:
            self._drop()
        elif self._task is not None:
            self._task.cancel()

    async def _relayed(self) -> AsyncGenerator[bytes, None]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def send(message: dict[str, Any]) -> None:
            queue.put_nowait(message["body"] or None)

        async def run() -> None:
            try:
                await self.stream_to(send)
            finally:
                queue.put_nowait(None)

        self._relay = asyncio.create_task(run())
        try:
            while (chunk := await queue.get()) is not None:
                yield chunk
        finally:
            self._relay.cancel()
            await asyncio.gather(self._relay, return_exceptions=True)


open_streams: set[EventStreamResponse] = set()
_comments: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    """Hold a comment's task until it is done: the loop alone holds none."""
    _comments.add(task)
    task.add_done_callback(_comments.discard)


class StreamingHandler(ASGIHandler):
    """Django's handler, with warm threads and a straight road for event streams.

    A request holds a thread for each of its steps and no longer: an open stream holds none.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Naked bytes that are no UTF-8 Django refuses with an empty page; the edge, with a problem.
        query = quote_from_bytes(scope.get("query_string", b""), safe=_ASCII).encode()
        async with ThreadSensitiveContext(executor=request_threads):
            await self.handle(scope | {"query_string": query}, receive, send)

    async def listen_for_disconnect(self, receive: Any) -> None:
        """Come back when the client has left, or has its whole answer.

        Django's own raises then. What it raises would hold the frame that holds its task, and so
        everything of the request, its body and its answer, until a collection of garbage.
        """
        with suppress(RequestAborted):
            await super().listen_for_disconnect(receive)

    async def send_response(self, response: HttpResponseBase, send: Any) -> None:
        if not isinstance(response, EventStreamResponse):
            await super().send_response(response, send)
            return
        headers = [(name.encode(), value.encode("latin-1")) for name, value in response.items()]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await response.stream_to(send)
        except Exception as exc:
            if as_app_error(exc) is None:
                raise
            # The status is out: a broken stream is what tells the reader to come again.
            logger.warning(
                "A stream was cut off; its reader can go on where it ended. "
                "See to the database (DATABASE_URL), and to the room on its disk.",
                error=type(exc).__name__,
            )
            response.drop()
        finally:
            response.slot.release()
            response.let_go()
