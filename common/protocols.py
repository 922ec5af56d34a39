"""uvicorn's protocols, with what ours must add: how to drop a peer that takes nothing.

ASGI can only close politely, and a polite close waits for ever behind data that a peer does not
read. Two extensions of the scope help: `parley.drop()` ends the connection at once, and
`parley.gone` (an `asyncio.Event`) says that it has ended. Of uvicorn's two WebSocket protocols ours
is wsproto's: the other hangs on handshake headers over 8 KB.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Generator, Iterable
from http import HTTPStatus
from typing import Any, cast

from django.conf import settings
from django.utils.translation import gettext as _
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.connection import ConnectionState
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from common import errors, request_log
from common.addresses import client_address
from common.problems import bare_answer
from common.request_headers import new_request_id

# What the kernel may hold for one socket (it doubles the number). Without it several megabytes
# vanish there before anyone notices that a peer has stopped reading, and of a peer that floods ten
# thousand frames are read at once, while all others wait.
KERNEL_BYTES = 64 << 10
# Of a peer that was told to go no more than this is read in search of its answer.
BYTES_AFTER_CLOSE = 128 << 10
# How many frames of one peer are looked at before others have their turn.
EVENTS_AT_ONCE = 100
CLOSE_SECONDS = 3.0
LAST_SECONDS = 1.0
# No client cuts a message of at most 64 KiB into more pieces; empty ones would never end it.
FRAGMENTS = 1_024


class HttpProtocol(HttpToolsProtocol):
    def on_headers_complete(self) -> None:
        scope: dict[str, Any] = cast("dict[str, Any]", self.scope)
        scope["extensions"] = {"parley.drop": self.transport.abort}
        super().on_headers_complete()
        if self.parser.get_http_version() == "1.0" and self.cycle is not None:
            _send_without_chunks(self.cycle)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP never reaches the application; its refusal is a problem all the same."""
        self._refuse(errors.Invalid(_("This is not a valid HTTP request.")))

    def handle_websocket_upgrade(self) -> None:
        """Refuse one by HTTP/1.0, which has no 101 (RFC 6455, 4.1)."""
        if self.parser.get_http_version() == "1.1":
            super().handle_websocket_upgrade()
        else:
            self._refuse(errors.Invalid(_("A WebSocket handshake needs HTTP/1.1.")))

    def _refuse(self, invalid: errors.Invalid) -> None:
        request_id = new_request_id()
        headers, body = bare_answer(invalid, request_id=request_id, Connection="close")
        lines = [b"HTTP/1.1 400 Bad Request"]
        lines += [b": ".join(each) for each in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()
        _log(HTTPStatus.BAD_REQUEST, client=self.client, request_id=request_id)


def _send_without_chunks(cycle: RequestResponseCycle) -> None:
    """HTTP/1.0 has no chunks: a body without a length ends with the connection."""
    send = cycle.send

    async def send_plain(message: Any) -> None:
        if message["type"] == "http.response.body":
            # The whole body is as long as it is.
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.chunked_encoding = False
    cycle.send = send_plain  # type: ignore[method-assign]


def _log(status: int, *, client: Any, request_id: str) -> None:
    """What was not understood has neither method nor path."""
    request_log.answered(
        "",
        "",
        status,
        began=time.perf_counter(),
        address=client_address({"client": client}),
        request_id=request_id,
    )


class _OtherVersion(errors.Invalid):
    """A WebSocket of a version that nobody speaks."""

    status = 426


class _Flood(Exception):
    """The peer sends what no honest client does; the rest of its data is not looked at."""


class SocketProtocol(WSProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_SECONDS
        self.gone = asyncio.Event()
        self.fragments = 0
        self.bytes_after_close = 0
        self.has_more = False
        self.conn.events = self._some(self.conn.events)  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in {socket.AF_INET, socket.AF_INET6}:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()

    def data_received(self, data: bytes) -> None:
        if self.close_sent:
            self.bytes_after_close += len(data)
        if self.bytes_after_close > BYTES_AFTER_CLOSE:
            self.transport.pause_reading()  # until `drop`
            return
        try:
            if self.conn.state is ConnectionState.CONNECTING:
                self._shake_hands(data)
            else:
                super().data_received(data)
        except _Flood:
            self.drop()

    def _some(
        self, events: Callable[[], Iterable[Event]]
    ) -> Callable[[], Generator[Event, None, None]]:
        """Some of the events, the others a step of the loop later: a peer that floods sends
        thousands in one read."""

        def some() -> Generator[Event, None, None]:
            for number, event in enumerate(events(), 1):
                yield event
                if number == EVENTS_AT_ONCE:
                    self._leave_more()
                    return

        return some

    def _leave_more(self) -> None:
        """Nothing is read before what is here was looked at: it would only pile up."""
        self.transport.pause_reading()
        if not self.has_more:
            self.has_more = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self.has_more = False
        if self.transport.is_closing():
            return
        try:
            self.handle_events()
        except _Flood:
            self.drop()
        # A message that the application has not taken keeps it paused, until it has.
        if not (self.has_more or self.read_paused):
            self.transport.resume_reading()

    def _shake_hands(self, data: bytes) -> None:
        """Refuse what is no handshake with a problem; uvicorn's refusal is empty, and for a host
        that is no name it is a traceback."""
        try:
            self.conn.receive_data(data)
        except (RemoteProtocolError, UnicodeError) as malformed:
            hint: Any = getattr(malformed, "event_hint", None) or RejectConnection(status_code=400)
            kind = _OtherVersion if hint.status_code == _OtherVersion.status else errors.Invalid
            refusal = kind(_("This is not a valid WebSocket handshake."))
            request_id = new_request_id()
            headers, body = bare_answer(refusal, request_id=request_id, Connection="close")
            self.transport.write(
                self.conn.send(
                    RejectConnection(
                        status_code=refusal.status,
                        headers=[*headers, *hint.headers],
                        has_body=True,
                    )
                )
                + self.conn.send(RejectData(data=body))
            )
            self.transport.close()
            _log(refusal.status, client=self.client, request_id=request_id)
        else:
            self.handle_events()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        # The application's task exists by now, but takes its first step later.
        extensions = cast("dict[str, Any]", self.scope["extensions"])
        extensions |= {"parley.drop": self.drop, "parley.gone": self.gone}

    def handle_message(self, event: TextMessage | BytesMessage) -> None:
        self.fragments = 0 if event.message_finished else self.fragments + 1
        if self.fragments > FRAGMENTS:
            raise _Flood
        super().handle_message(event)

    def handle_close(self, event: CloseConnection) -> None:
        """Tell who broke the protocol by which code it ends; uvicorn just cuts the connection."""
        if not self.close_sent and self.conn.state is ConnectionState.OPEN:
            self.transport.write(self.conn.send(CloseConnection(code=event.code)))
        super().handle_close(event)

    def handle_ping(self, event: Ping) -> None:
        # Pongs are written past every queue of ours; a peer that reads none gets no more.
        if self.transport.get_write_buffer_size() > settings.SOCKET_UNSENT_BYTES:
            raise _Flood
        super().handle_ping(event)

    async def send(self, message: Any) -> None:
        """Send, and wait until the peer has taken enough of it.

        uvicorn waits before the next frame only; after the last one nobody would notice that a
        megabyte lies there untaken.
        """
        await super().send(message)
        if message["type"] == "websocket.close":
            self.loop.call_later(CLOSE_SECONDS + 0.5, self.drop)
        else:
            await self.writable.wait()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(LAST_SECONDS, self.drop)

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(LAST_SECONDS, self.drop)

    def drop(self) -> None:
        if not self.disconnected:
            self.transport.abort()
