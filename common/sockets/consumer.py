"""The base of every consumer: who may come in, which frames count, how it ends."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

import orjson
import structlog
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import Serializer

from common import errors, lifecycle, rates, request_log, sources
from common.addresses import address_key, client_address
from common.api.bodies import validated
from common.db import in_thread
from common.languages import speak
from common.problems import as_app_error
from common.request_headers import language_of, request_id_of
from common.sockets.frames import BadFrame, Frame, error_frame, parse_frame
from common.sockets.outbox import Outbox, Send
from common.sockets.refusals import deny
from common.sockets.registry import Bucket, sockets

logger = structlog.get_logger(__name__)

# How long a connection gets to take its last frames and answer the close.
LAST_WORD_SECONDS = 1.0
GONE_SECONDS = 4.0
MINUTE = 60
# What is said of a connection that ended without a word (RFC 6455).
NO_WORD = 1006


class Identity(Protocol):
    """Whose socket it is, as far as every socket must know."""

    @property
    def user_id(self) -> UUID: ...
    @property
    def credential_id(self) -> UUID | None: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def language(self) -> str: ...


class SocketConsumer(AsyncWebsocketConsumer, ABC):
    """A signed-in socket.

    A frame's `type` names its serializer in `frames` and its handler, `frame_<type>`. Frames are
    handled one at a time, so a handler that waits for anything leaves it to `spawn`. A nudge's
    `type` names a coroutine method, dots as underscores.
    """

    subprotocol = "parley.v1"
    frames: ClassVar[dict[str, type[Serializer[Any]]]] = {}

    identity: Identity
    outbox: Outbox
    say: Send

    @abstractmethod
    async def identify(self) -> Identity:
        """Who is at the door; raises AppError. One that is no 401 is refused unaccepted."""

    def opened(self) -> None:
        """The socket is signed in and counted."""

    def closed(self) -> None:
        """The socket that was `opened` is gone."""

    # -- life ------------------------------------------------------------------------------
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.base_send, self.say = scope, send, send
        self.extensions: dict[str, Any] = scope.get("extensions") or {}
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_closing = False
        self.is_open = False
        self.accepted_at: float | None = None
        self.close_code = NO_WORD
        self.bucket = Bucket(
            rate=settings.SOCKET_FRAMES_PER_SECOND, burst=settings.SOCKET_FRAME_BURST
        )
        self.bad_frames: deque[float] = deque(maxlen=settings.SOCKET_BAD_FRAMES_PER_MINUTE)
        structlog.contextvars.clear_contextvars()
        self.request_id = request_id_of(scope)
        structlog.contextvars.bind_contextvars(request_id=self.request_id)
        sources.asked_by(scope)
        sockets.enter()
        try:
            with translation.override(language_of(scope)):
                while True:
                    await self.dispatch(await receive())
        except StopConsumer:
            pass
        finally:
            sockets.leave()
            self.log_end()
            await self.clear()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """What the server says. Channels' own would cost a thread hop per message."""
        match message["type"]:
            case "websocket.connect":
                await self.connecting()
            case "websocket.receive":
                await self.received(message.get("text"))
            case "websocket.disconnect":
                if self.close_code == NO_WORD:
                    self.close_code = message.get("code") or NO_WORD
                raise StopConsumer

    async def clear(self) -> None:
        """Leave nothing behind, however it ended."""
        if not self.is_open:
            return
        sockets.discard(self.identity.user_id, self)
        self.closed()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.outbox.abandon()

    # -- the door --------------------------------------------------------------------------
    async def connecting(self) -> None:
        if lifecycle.draining or sockets.total > settings.SOCKETS_PER_PROCESS:
            await self.deny(errors.Unavailable(retry_after=2))
        offered = self.scope.get("subprotocols") or []
        if offered and self.subprotocol not in offered:
            await self.deny(errors.PermissionDenied(_("Offer the subprotocol parley.v1.")))
        try:
            self.identity = await self.identify()
        except Exception as exc:
            refusal = as_app_error(exc)
            if refusal is None:
                raise
            await self.refuse(refusal)
        await self.admit(self.identity.user_id)
        self.outbox = Outbox(self.say, on_slow=self.too_slow)
        self.is_open = True
        if oldest := sockets.add(self.identity.user_id, self):
            oldest.finish(4409)
        self.opened()

    async def admit(self, user_id: UUID | None) -> None:
        """Accept the handshake; of a stranger too, who is told why and closed."""
        offered = self.scope.get("subprotocols")
        await self.accept(self.subprotocol if offered else None)
        self.user_id, self.accepted_at = user_id, self.loop.time()
        request_log.opened(
            self.scope["path"],
            user_id=user_id,
            address=client_address(self.scope),
            request_id=self.request_id,
        )

    def log_end(self) -> None:
        if self.accepted_at is None:
            return
        request_log.closed(
            self.scope["path"],
            self.close_code,
            seconds=self.loop.time() - self.accepted_at,
            user_id=self.user_id,
            request_id=self.request_id,
        )

    async def deny(self, refusal: errors.AppError) -> None:
        """Answer the handshake with a status. Raises StopConsumer."""
        await deny(self.scope, self.say, refusal, request_id=self.request_id)
        raise StopConsumer

    async def refuse(self, refusal: errors.AppError) -> None:
        """Tell why with one `error` and close (W3). Raises StopConsumer."""
        if not isinstance(refusal, errors.Unauthenticated):
            await self.deny(refusal)
        address = address_key(client_address(self.scope))
        try:
            await in_thread(rates.hit)("api_anonymous", address)
        except errors.RateLimited as too_many:
            await self.deny(too_many)
        if not sockets.admits_stranger(address):
            await self.deny(errors.RateLimited(retry_after=GONE_SECONDS))
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LAST_WORD_SECONDS):
                    await self.admit(None)
                    text = orjson.dumps(error_frame(refusal, None)).decode()
                    await self.say({"type": "websocket.send", "text": text})
                    self.close_code = 4401
                    await self.say({"type": "websocket.close", "code": 4401})
            await self.gone()
        finally:
            sockets.forget_stranger(address)
        raise StopConsumer

    async def gone(self) -> None:
        """Wait a moment for the connection to end, where the server says when (`protocols`)."""
        gone = self.extensions.get("parley.gone")
        if gone is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), GONE_SECONDS)

    # -- frames ----------------------------------------------------------------------------
    async def received(self, text: str | None) -> None:
        speak(self.identity.language)
        if self.is_closing:
            await self.outbox.done()
            raise StopConsumer
        if not (self.bucket.take() and sockets.admits_frame(self.identity.user_id)):
            self.finish(4429)
            return
        try:
            frame = parse_frame(text)
            await self.guard(self.handle(frame), ref=frame.ref)
        except BadFrame as bad:
            self.count_bad(bad)

    async def handle(self, frame: Frame) -> None:
        """Validate and hand over; raises BadFrame, and what the handler raises."""
        serializer_class = self.frames.get(frame.type)
        if serializer_class is None:
            raise BadFrame(_("There is no frame of this type."), ref=frame.ref)
        try:
            fields = validated(serializer_class(data=frame.fields))
        except ValidationError as exc:
            invalid = as_app_error(exc) or errors.Invalid()
            raise BadFrame(str(invalid), ref=frame.ref, errors=invalid.errors) from None
        handler: Callable[..., Coroutine[Any, Any, None]] = getattr(self, f"frame_{frame.type}")
        await handler(fields, frame.ref)

    def count_bad(self, bad: BadFrame) -> None:
        self.send_frame(error_frame(bad, bad.ref))
        now = asyncio.get_running_loop().time()
        self.bad_frames.append(now)
        if len(self.bad_frames) == self.bad_frames.maxlen and now - self.bad_frames[0] < MINUTE:
            self.finish(4400)

    async def guard(
        self, work: Coroutine[Any, Any, None], *, ref: str | None = None, asked: bool = True
    ) -> None:
        """Await `work`; its failure becomes an error frame and the socket lives on."""
        try:
            await work
        except (BadFrame, StopConsumer):
            raise
        except Exception as exc:
            error = as_app_error(exc)
            if error is None:
                logger.exception(
                    "A bug of Parley's: a frame failed, its socket goes on. "
                    "Please report what follows."
                )
            if asked:
                self.send_frame(error_frame(error or errors.Internal(), ref))

    def spawn(
        self, work: Coroutine[Any, Any, None], *, ref: str | None = None, asked: bool = True
    ) -> asyncio.Task[None]:
        """Run `work` beside the frames that come meanwhile. What no frame asked for fails mute."""
        task = asyncio.create_task(self.guard(work, ref=ref, asked=asked))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def nudged(self, message: dict[str, Any]) -> None:
        handler = getattr(self, message["type"].replace(".", "_"), None)
        if handler is not None and not self.is_closing:
            self.spawn(handler(message), asked=False)

    # -- sending and closing ---------------------------------------------------------------
    def send_frame(self, frame: dict[str, Any], *, ref: str | None = None) -> None:
        if ref is not None:
            frame = frame | {"ref": ref}
        self.outbox.put(orjson.dumps(frame, default=str))

    def finish(self, code: int) -> None:
        """Close with `code` once what is queued was sent; no further frame is handled."""
        if self.is_closing or not self.is_open:
            return
        self.is_closing = True
        self.close_code = code
        sockets.discard(self.identity.user_id, self)
        for task in self.tasks - {asyncio.current_task()}:
            task.cancel()
        self.outbox.shut(code)

    def end(self, code: int) -> None:
        """`finish`, from any thread."""
        self.loop.call_soon_threadsafe(self.finish, code)

    def too_slow(self) -> None:
        """The peer takes nothing: say 4408 if that gets through, then drop it (W6)."""
        self.is_closing = True
        self.close_code = 4408
        for task in self.tasks:
            task.cancel()
        self.spawn(self.drop(), asked=False)

    async def drop(self) -> None:
        await self.outbox.abandon()
        try:
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await self.say({"type": "websocket.close", "code": 4408})
        except (OSError, TimeoutError):
            cut = self.extensions.get("parley.drop")
            if cut is not None:
                cut()
