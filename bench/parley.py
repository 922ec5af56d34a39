"""Parley as it is measured: a server of its own, a person, conversations, sockets."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.load import Ask
from bench.mock_upstream import MODEL
from bench.processes import Server, free_port

_IDLE_SECONDS = 10
_SETTLE_SECONDS = 3
_AT_ONCE = 50
_SOCKETS_EACH = 50
_CHIEF = "bench"
_PASSWORD = "a password for measuring"  # noqa: S105 of a server that lives for minutes


@dataclass(frozen=True, slots=True)
class Stores:
    """Where this Parley keeps things; empty strings mean SQLite and memory."""

    database_url: str = ""
    redis_url: str = ""


@dataclass(frozen=True, slots=True)
class Idle:
    """What idle sockets cost: bytes of memory each, percent of a core for all."""

    sockets: int
    bytes_each: float
    cpu_percent: float


def serve(stores: Stores, *, upstream: str, core: int, folder: Path) -> Server:
    folder.mkdir()
    port = free_port()
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(folder),
        "DATABASE_URL": stores.database_url,
        "REDIS_URL": stores.redis_url,
        "OPENAI_BASE_URL": f"{upstream}/v1",
        "LIMIT_FACTOR": "10000",
        "LOG_LEVEL": "WARNING",
        "ADMIN_USERNAME": _CHIEF,
        "ADMIN_EMAIL": f"{_CHIEF}@example.com",
        "ADMIN_PASSWORD": _PASSWORD,
    }
    return Server(
        ["manage.py", "serve"],
        port=port,
        core=core,
        ready="/health/ready",
        environment=environment,
        log=folder / "log",
    )


def sign_in(server: Server, *, limits: Sequence[Mapping[str, object]] | None = None) -> str:
    """The access token of a newcomer; with `limits`, of one who has a plan of just these."""
    name = f"bench-{time.time_ns()}"
    person = {"username": name, "email": f"{name}@example.com", "password": _PASSWORD}
    answer = _call(server, "/api/v1/auth/register", person, token="")
    if limits is not None:
        chief = {"username": _CHIEF, "password": _PASSWORD}
        staff = _call(server, "/api/v1/auth/login", chief, token="")["access_token"]
        _call(server, "/api/v1/plans", {"name": name, "limits": limits}, token=staff)
        user = f"/api/v1/users/{answer['user']['id']}"
        _call(server, user, {"plan": name}, token=staff, method="PATCH")
    return str(answer["access_token"])


def completions(server: Server, token: str, *, number: int) -> list[Ask]:
    """Requests for a stream of the OpenAI-compatible API."""
    body = {
        "model": MODEL,
        "stream": True,
        "messages": [{"role": "user", "content": "Say something long."}],
    }
    headers = {"Authorization": f"Bearer {token}"}
    return [Ask(f"{server.url}/v1/chat/completions", body, headers)] * number


def streams(server: Server, token: str, *, number: int) -> list[Ask]:
    """Requests for a stream, each in a conversation of its own.

    They have titles, so that no job asks the model for one meanwhile.
    """
    asks = []
    for index in range(number):
        body = {"title": f"Measured {index}", "model": MODEL}
        conversation = _call(server, "/api/v1/conversations", body, token=token)["id"]
        asks.append(
            Ask(
                f"{server.url}/api/v1/conversations/{conversation}/messages/stream",
                {"content": "Say something long."},
                {"Authorization": f"Bearer {token}"},
            )
        )
    return asks


async def idle_sockets(server: Server, *, number: int) -> Idle:
    """Open sockets of people who do nothing else, let them be, and see what they cost."""
    tokens = [sign_in(server) for _person in range(0, number, _SOCKETS_EACH)]
    before = server.usage()
    connector = aiohttp.TCPConnector(limit=0)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

        async def connect(token: str) -> None:
            socket = await stack.enter_async_context(
                session.ws_connect(
                    f"{server.url}/ws/chat", protocols=("parley.v1", f"bearer.{token}")
                )
            )
            await socket.send_json({"type": "ping"})
            answer = await socket.receive_json(timeout=10)
            if answer["type"] != "pong":
                raise SystemExit(f"A socket was refused: {answer}")

        for begun in range(0, number, _AT_ONCE):
            batch = range(begun, min(begun + _AT_ONCE, number))
            await asyncio.gather(*(connect(tokens[each // _SOCKETS_EACH]) for each in batch))
        await asyncio.sleep(_SETTLE_SECONDS)
        opened = server.usage()
        await asyncio.sleep(_IDLE_SECONDS)
        after = server.usage()
    return Idle(
        number,
        (after.rss - before.rss) / number,
        100 * (after.cpu - opened.cpu) / _IDLE_SECONDS,
    )


def _call(
    server: Server, path: str, body: Mapping[str, object], *, token: str, method: str = "POST"
) -> Any:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
