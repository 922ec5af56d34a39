"""The server's own pings, on the wire: who answers none is dropped, who does stays (W12)."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
import websockets
from django.conf import settings

from common.protocols import SocketProtocol

pytestmark = pytest.mark.row("W12")

PATIENCE_SECONDS = 20


async def echo(scope: Any, receive: Any, send: Any) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server like ours that has less patience."""
    config = uvicorn.Config(
        echo,
        port=0,
        ws=SocketProtocol,
        ws_ping_interval=0.3,
        ws_ping_timeout=1,
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def test_a_peer_that_answers_no_ping_is_dropped_and_one_that_does_stays(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/") as alive:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
        )

        async with asyncio.timeout(PATIENCE_SECONDS):
            heard = await reader.read()  # to its end

        assert b"\x89" in heard  # a ping
        await alive.send("still here")
        assert await alive.recv() == "still here"
    writer.close()


def test_the_server_pings_every_20_seconds_and_waits_20_more():
    assert (settings.SOCKET_PING_SECONDS, settings.SOCKET_PONG_SECONDS) == (20, 20)
