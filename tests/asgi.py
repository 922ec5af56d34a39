"""The whole ASGI application, called as a server calls it: chunk by chunk, frame by frame."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from config.asgi import application

PATIENCE_SECONDS = 10


class _Call:
    """One scope, its two queues, and the task that runs the application."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.task = asyncio.create_task(application(scope, self.inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        await self.may_send.wait()
        self.outbox.put_nowait(message)

    async def sent(self, *, within: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next message of the application; fails when it has ended without one."""
        async with asyncio.timeout(within):
            coming = asyncio.create_task(self.outbox.get())
            try:
                await asyncio.wait({coming, self.task}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done() and self.outbox.empty():
                    self.task.result()
                    raise AssertionError("the application has ended and sent nothing more")
                return await coming
            finally:
                coming.cancel()

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait({self.task})

    def stop_reading(self) -> None:
        """From now on nothing is taken from the application, as by a peer that reads nothing."""
        self.may_send.clear()

    def read_again(self) -> None:
        self.may_send.set()


def _headers(given: dict[str, str]) -> list[tuple[bytes, bytes]]:
    named = {"Host": "testserver"} | given
    return [(name.lower().encode(), value.encode()) for name, value in named.items()]


class Request(_Call):
    """An HTTP request; `begun` is its status line, `chunk` and `text` its body."""

    def __init__(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: Any = None,
        headers: dict[str, str] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        address = urlsplit(path if path.startswith("/") else f"/api/v1/{path}")
        given = dict(headers or {})
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        if token:
            given.setdefault("Authorization", f"Bearer {token}")
        if body is not None:
            given = {"Content-Type": "application/json", "Content-Length": str(len(raw))} | given
        super().__init__(
            {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": method,
                "scheme": "http",
                "path": address.path,
                "raw_path": address.path.encode(),
                "query_string": address.query.encode(),
                "root_path": "",
                "headers": _headers(given),
                "client": ("203.0.113.7", 5000),
                "server": ("testserver", 80),
                "extensions": extensions or {},
            }
        )
        self.inbox.put_nowait({"type": "http.request", "body": raw, "more_body": False})
        self.status = 0
        self.headers: dict[str, str] = {}

    async def begun(self) -> int:
        if not self.status:
            message = await self.sent()
            assert message["type"] == "http.response.start"
            self.status = message["status"]
            self.headers = {
                name.decode().lower(): value.decode() for name, value in message["headers"]
            }
        return self.status

    async def chunk(self, *, within: float = PATIENCE_SECONDS) -> bytes:
        """The next piece of the body, empty at its end."""
        await self.begun()
        message = await self.sent(within=within)
        return bytes(message.get("body", b""))

    async def read(self) -> bytes:
        await self.begun()
        whole = b""
        while True:
            message = await self.sent()
            whole += bytes(message.get("body", b""))
            if not message.get("more_body"):
                return whole

    async def json(self) -> Any:
        return json.loads(await self.read())

    async def events(self) -> list[dict[str, Any]]:
        """The events of a stream, read to its end; `id` is the one of the stream."""
        return parse_events((await self.read()).decode())

    async def leave(self) -> None:
        self.inbox.put_nowait({"type": "http.disconnect"})
        await self.ended()


def parse_events(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
        if lines:
            event = json.loads(lines["data"])
            assert event["type"] == lines["event"]
            found.append(event | {"id": lines["id"]})
    return found


class Closed(Exception):
    """The server closed the socket, or refused it; `code` says how."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Socket(_Call):
    """A WebSocket; `open` it, `send`, `receive`; use as an async context manager."""

    def __init__(
        self,
        path: str = "/ws/chat",
        *,
        token: str = "",
        subprotocols: list[str] | None = None,
        headers: dict[str, str] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        address = urlsplit(path)
        offered = ["parley.v1", f"bearer.{token}"] if token else []
        super().__init__(
            {
                "type": "websocket",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "scheme": "ws",
                "path": address.path,
                "raw_path": address.path.encode(),
                "query_string": address.query.encode(),
                "root_path": "",
                "headers": _headers(headers or {}),
                "client": ("203.0.113.7", 5000),
                "server": ("testserver", 80),
                "subprotocols": offered if subprotocols is None else subprotocols,
                "extensions": extensions or {},
            }
        )
        self.inbox.put_nowait({"type": "websocket.connect"})

    async def open(self) -> str | None:
        """The subprotocol chosen; raises Closed when refused."""
        message = await self.sent()
        if message["type"] == "websocket.accept":
            chosen: str | None = message["subprotocol"]
            return chosen
        if message["type"] == "websocket.http.response.start":
            raise Closed(message["status"])
        raise Closed(message["code"])

    def send(self, frame: dict[str, Any] | str | bytes) -> None:
        message: dict[str, Any] = {"type": "websocket.receive"}
        if isinstance(frame, bytes):
            message["bytes"] = frame
        else:
            message["text"] = frame if isinstance(frame, str) else json.dumps(frame)
        self.inbox.put_nowait(message)

    async def receive(self, *, within: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next frame; raises Closed."""
        message = await self.sent(within=within)
        if message["type"] == "websocket.close":
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": message["code"]})
            raise Closed(message["code"])
        frame: dict[str, Any] = json.loads(message["text"])
        return frame

    async def ask(self, frame: dict[str, Any] | str | bytes) -> dict[str, Any]:
        self.send(frame)
        return await self.receive()

    async def until(self, *types: str) -> list[dict[str, Any]]:
        """Frames up to and with the first of one of these types."""
        found = []
        while True:
            found.append(await self.receive())
            if found[-1]["type"] in types:
                return found

    async def close_code(self) -> int:
        """The code it is closed with, whatever frames come before."""
        try:
            while True:
                await self.receive()
        except Closed as closed:
            return closed.code

    async def quiet(self) -> None:
        """Nothing is waiting: a ping is answered by its pong and by nothing before."""
        answer = await self.ask({"type": "ping", "ref": "quiet"})
        assert answer == {"type": "pong", "ref": "quiet"}

    async def leave(self) -> None:
        if not self.task.done():
            self.read_again()
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await self.ended()

    async def __aenter__(self) -> Socket:
        await self.open()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.leave()
