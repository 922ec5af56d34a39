"""Parley as it is measured: servers of its own, people, conversations."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psycopg
from psycopg import sql

from bench.load import Ask
from bench.processes import Server, free_port, say

_AT_ONCE = 8
_CHIEF = "bench"
_PASSWORD = "a password for measuring"  # noqa: S105 of a server that lives for minutes


@dataclass(frozen=True, slots=True)
class Stores:
    """Where this Parley keeps things; empty strings mean SQLite and memory."""

    database_url: str = ""
    redis_url: str = ""

    @property
    def name(self) -> str:
        return "PostgreSQL and Redis" if self.database_url else "SQLite"


def environment(stores: Stores, *, upstream: str, folder: Path) -> dict[str, str]:
    return {
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


def serve(stores: Stores, *, upstream: str, core: int, folder: Path) -> Server:
    """A server of `manage.py serve`; of several with the same `folder` each keeps its own log."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    return Server(
        ["manage.py", "serve"],
        port=port,
        core=core,
        ready="/health/ready",
        environment=environment(stores, upstream=upstream, folder=folder) | {"PORT": str(port)},
        log=folder / f"log-{port}",
    )


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """A database of this run alone beside the one that `url` names; "" where none can be had."""
    name = f"{urlsplit(url).path.strip('/')}_bench"
    fresh = urlsplit(url)._replace(path=f"/{name}").geturl()
    maintenance = urlsplit(url)._replace(path="/postgres").geturl()
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    try:
        connection = psycopg.connect(maintenance, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        say(f"No PostgreSQL at {urlsplit(url).hostname}, left out: {error}")
        yield ""
        return
    with connection:
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield fresh
        finally:
            connection.execute(drop)


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def sign_up(server: Server, *, limits: Sequence[Mapping[str, object]] | None = None) -> Person:
    """A newcomer; with `limits`, one who has a plan of just these."""
    name = f"bench-{time.time_ns()}"
    person = {"username": name, "email": f"{name}@example.com", "password": _PASSWORD}
    answer = call(server, "/api/v1/auth/register", person, token="")
    if limits is not None:
        chief = {"username": _CHIEF, "password": _PASSWORD}
        staff = call(server, "/api/v1/auth/login", chief, token="")["access_token"]
        call(server, "/api/v1/plans", {"name": name, "limits": limits}, token=staff)
        user = f"/api/v1/users/{answer['user']['id']}"
        call(server, user, {"plan": name}, token=staff, method="PATCH")
    return Person(answer["user"]["id"], answer["access_token"])


def completions(url: str, headers: dict[str, str], number: int, model: str) -> list[Ask]:
    """Requests for a stream as OpenAI's clients send them."""
    body = {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": "Say something long."}],
    }
    return [Ask(url, body, headers)] * number


async def messages(servers: Sequence[Server], person: Person, number: int, model: str) -> list[Ask]:
    """Requests for a stream, each in a conversation of its own, spread over the servers.

    They have titles, so that no job asks the model for one meanwhile.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def make(index: int) -> Ask:
        server = servers[index % len(servers)]
        body = {"title": f"Measured {index}", "model": model}
        url = f"{server.url}/api/v1/conversations"
        async with gate, session.post(url, json=body) as answer:
            answer.raise_for_status()
            made = (await answer.json())["id"]
        return Ask(
            f"{url}/{made}/messages/stream", {"content": "Say something long."}, person.headers
        )

    async with aiohttp.ClientSession(headers=person.headers) as session:
        return await asyncio.gather(*(make(index) for index in range(number)))


def call(
    server: Server, path: str, body: Mapping[str, object], *, token: str, method: str = "POST"
) -> Any:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
