"""A WebSocket spoken by hand, so that a test may break its rules."""

from __future__ import annotations

import asyncio
import base64
import os
import struct

from tests.e2e.person import SECONDS, Person


def frame(payload: bytes, *, opcode: int = 1, final: bool = True) -> bytes:
    """A masked frame, with a mask of zeros."""
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    return head + b"\x00\x00\x00\x00" + payload


opened: list[asyncio.StreamWriter] = []


class Wire:
    """One connection; `answer` is what the server said to the handshake."""

    seconds: float = SECONDS
    """How long the next frame is waited for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.answer = b""

    @classmethod
    async def open(cls, person: Person, *, extra: str = "") -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", person.server.port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws/chat HTTP/1.1\r\nHost: 127.0.0.1:{person.server.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{extra}"
            f"Sec-WebSocket-Protocol: parley.v1, bearer.{person.token}\r\n\r\n".encode()
        )
        wire = cls(reader, writer)
        opened.append(writer)
        wire.answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        return wire

    async def get(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; raises IncompleteReadError at the end."""
        async with asyncio.timeout(self.seconds):
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                [size] = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                [size] = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def close_code(self) -> int | None:
        """The code it is closed with; None when it was just dropped."""
        try:
            while True:
                opcode, payload = await self.get()
                if opcode == 8:
                    return int(struct.unpack("!H", payload[:2])[0])
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
