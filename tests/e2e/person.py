"""A person at a terminal: what they send and read, over HTTP and over a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import websockets

from tests.server import Server

SECONDS = 20
API = "/api/v1/"
# Of everybody here.
PASSWORD = "correct horse 9!"


@dataclass
class Person:
    """Somebody with an access token, who talks to any of the servers."""

    server: Server
    token: str
    username: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        at: Server | None = None,
        **headers: str,
    ) -> Any:
        """One request; the whole answer."""
        return (at or self.server).request(
            API + path, method=method, body=body, headers=self.headers | headers
        )

    def conversation(self, **fields: Any) -> str:
        made = self.call("POST", "conversations", fields)
        assert made.status == 201, made.body
        return str(made.json()["id"])

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        at: Server | None = None,
        **headers: str,
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """An event stream: a POST with a body, a GET without."""
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, headers=self.headers) as session:
            url = (at or self.server).url + API + path
            method = "GET" if body is None else "POST"
            async with session.request(method, url, json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                assert answer.content_type == "text/event-stream"
                yield events(answer)

    async def read(
        self, path: str, body: dict[str, Any] | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """A whole event stream."""
        async with self.stream(path, body, **options) as stream:
            return [event async for event in stream]

    @asynccontextmanager
    async def socket(self, *, at: Server | None = None) -> AsyncIterator[Socket]:
        server = at or self.server
        async with websockets.connect(
            f"ws://127.0.0.1:{server.port}/ws/chat",
            subprotocols=[
                websockets.Subprotocol("parley.v1"),
                websockets.Subprotocol(f"bearer.{self.token}"),
            ],
            max_size=None,
            max_queue=None,  # what was not read would hold up the close, for ten seconds
        ) as connection:
            yield Socket(connection)


class Socket:
    """`/ws/chat` as a client uses it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def get(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
            return frame

    async def until(self, *types: str) -> list[dict[str, Any]]:
        """Frames up to and with the first of one of these types."""
        frames = [await self.get()]
        while frames[-1]["type"] not in types:
            frames.append(await self.get())
        return frames


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream; comments are passed over."""
    buffer = b""
    async for data in answer.content.iter_any():
        buffer += data
        *whole, buffer = buffer.split(b"\n\n")
        for block in whole:
            fields = dict(
                line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":")
            )
            if b"data" in fields:
                event = json.loads(fields[b"data"])
                assert fields[b"event"].decode() == event["type"]
                assert fields[b"id"].decode() == f"{event['message_id']}:{event['seq']}"
                yield event
    assert not buffer


def register(server: Server) -> Person:
    name = f"user{uuid4().hex[:12]}"
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    made = server.request(f"{API}auth/register", method="POST", body=body)
    assert made.status == 201, made.body
    return Person(server, made.json()["access_token"], name)


def administrator(server: Server) -> Person:
    """`root`, made in the shell."""
    named = ("--username", "root", "--email", "root@example.com", "--password-stdin")
    made = server.command("create_admin", *named, stdin=PASSWORD)
    assert made.returncode == 0, made.stderr
    return sign_in(server, "root")


def sign_in(server: Server, username: str) -> Person:
    """Somebody who has an account there."""
    body = {"username": username, "password": PASSWORD}
    told = server.request(f"{API}auth/login", method="POST", body=body, timeout=60)
    assert told.status == 200, told.body
    return Person(server, told.json()["access_token"], username)
