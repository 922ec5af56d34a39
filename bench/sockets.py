"""What open, signed-in sockets cost while nobody says anything."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiohttp

from bench.parley import sign_up
from bench.processes import Server, say
from bench.results import Row

_IDLE_SECONDS = 10
_SETTLE_SECONDS = 4
_AT_ONCE = 50
_SOCKETS_EACH = 50


def allow_files() -> None:
    """A socket is a file at both of its ends, and servers take this over from us."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def measure(server: Server, *, numbers: Sequence[int]) -> list[Row]:
    """Open sockets up to each of `numbers` in turn, let them be, and see what they cost."""
    rows: list[Row] = []
    before = server.usage()
    tokens = [sign_up(server).token for _person in range(0, max(numbers), _SOCKETS_EACH)]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )

        async def connect(index: int) -> None:
            url = f"{server.url}/ws/chat"
            protocols = ("parley.v1", f"bearer.{tokens[index // _SOCKETS_EACH]}")
            socket = await stack.enter_async_context(
                # Else the client's own buffers for packed frames are most of what it takes.
                session.ws_connect(url, protocols=protocols, compress=0, timeout=_patient())
            )
            await socket.send_json({"type": "ping"})
            answer = await socket.receive_json(timeout=60)
            if answer["type"] != "pong":
                raise SystemExit(f"A socket was refused: {answer}")

        opened = 0
        for number in sorted(numbers):
            for begun in range(opened, number, _AT_ONCE):
                await asyncio.gather(*map(connect, range(begun, min(begun + _AT_ONCE, number))))
            opened = number
            await asyncio.sleep(_SETTLE_SECONDS)
            quiet = server.usage()
            await asyncio.sleep(_IDLE_SECONDS)
            after = server.usage()
            rows.append(
                {
                    "sockets": number,
                    "kib_each": round((after.rss - before.rss) / number / 1024, 1),
                    "memory": round(after.rss / 1e6),
                    "core_percent": round(100 * (after.cpu - quiet.cpu) / _IDLE_SECONDS, 1),
                }
            )
            say(f"{number} sockets: {rows[-1]}")
    return rows


def _patient() -> aiohttp.ClientWSTimeout:
    return aiohttp.ClientWSTimeout(ws_close=1)
