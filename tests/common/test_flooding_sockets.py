"""A peer that sends more than is looked at waits; everybody else has their turn between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from common.protocols import EVENTS_AT_ONCE, SocketProtocol

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
EMPTY_PONG = b"\x8a\x80\x00\x00\x00\x00"
READ = EMPTY_PONG * 2_000
STEPS = 50


class Line(asyncio.Transport):
    """A peer's end of a connection, without the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.is_paused = False

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Counting(SocketProtocol):
    looked_at = 0

    def handle_pong(self, event: Any) -> None:
        self.looked_at += 1


async def accept(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


@pytest.fixture
async def socket() -> AsyncIterator[Counting]:
    """One whose handshake is over."""
    socket = Counting(uvicorn.Config(accept, log_config=None), ServerState(), {})
    socket.connection_made(Line())
    socket.data_received(HANDSHAKE)
    while not socket.handshake_complete:
        await asyncio.sleep(0)
    yield socket
    socket.connection_lost(None)
    await asyncio.gather(*socket.tasks)


async def test_of_frames_that_go_on_coming_a_hundred_are_looked_at_and_no_more_are_read(socket):
    at_once: list[int] = []
    reads = 0

    for _step in range(STEPS):
        before = socket.looked_at
        if not socket.transport.is_paused:
            socket.data_received(READ)
            reads += 1
        await asyncio.sleep(0)
        at_once.append(socket.looked_at - before)

    assert max(at_once) <= 2 * EVENTS_AT_ONCE  # those of a read, and a step of what it left
    assert reads <= STEPS * EVENTS_AT_ONCE // 2_000 + 1


async def test_who_has_sent_all_is_read_again(socket):
    socket.data_received(EMPTY_PONG * (3 * EVENTS_AT_ONCE))
    assert socket.transport.is_paused

    while socket.transport.is_paused:
        await asyncio.sleep(0)

    assert socket.looked_at == 3 * EVENTS_AT_ONCE
