"""What requests take where a million messages are: one at a time, as a person waits for them."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from bench.fill_plan import CONVERSATIONS_OF_ONE, MESSAGES_EACH, conversation_id, word
from bench.mock_upstream import SHORT_MODEL
from bench.parley import Person, Stores, environment, serve, sign_up
from bench.processes import ROOT, Server, say
from bench.results import Row

_TIMES = 200
_WARM = 10


def measure(stores: Stores, *, upstream: str, core: int, folder: Path, number: int) -> list[Row]:
    """A row for each kind of request, in milliseconds."""
    own = min(CONVERSATIONS_OF_ONE, number // MESSAGES_EACH)
    with serve(stores, upstream=upstream, core=core, folder=folder) as server:
        person, others = sign_up(server), sign_up(server)
    began = time.monotonic()
    subprocess.run(
        [
            *(sys.executable, "-m", "bench.fill"),
            *(f"--owner={person.id}", f"--others={others.id}"),
            *(f"--own={own}", f"--messages={number}"),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environment(stores, upstream=upstream, folder=folder),
        check=True,
    )
    say(f"{number} messages on {stores.name} in {time.monotonic() - began:.0f} s")
    with serve(stores, upstream=upstream, core=core, folder=folder) as server:
        found = asyncio.run(_measure(server, person, own))
    return [
        {"store": stores.name, "messages": number, "request": name, **figures}
        for name, figures in found.items()
    ]


async def _measure(server: Server, person: Person, own: int) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    async with aiohttp.ClientSession(headers=person.headers) as session:
        asking = _Asking(session, f"{server.url}/api/v1", own)
        for name in ("list", "read", "send", "search"):
            times = [await getattr(asking, name)() for _time in range(_WARM + _TIMES)]
            cuts = statistics.quantiles(times[_WARM:], n=100, method="inclusive")
            rows[name] = {"p50": round(cuts[49] * 1000, 1), "p99": round(cuts[98] * 1000, 1)}
            say(f"  {name}: {rows[name]}")
    return rows


class _Asking:
    """Requests of one person; each says how many seconds it took."""

    def __init__(self, session: aiohttp.ClientSession, api: str, own: int) -> None:
        self._session = session
        self._api = api
        self._own = own
        self._chance = random.Random(4)  # noqa: S311 the same in every run

    async def list(self) -> float:
        return await self._get("conversations")

    async def search(self) -> float:
        return await self._get("conversations", q=word(self._chance))

    async def read(self) -> float:
        return await self._get(f"conversations/{self._one()}/messages")

    async def send(self) -> float:
        """Until the turn has begun; the rest is the provider's."""
        url = f"{self._api}/conversations/{self._one()}/messages/stream"
        body = {"content": "Go on", "model": SHORT_MODEL}
        began = time.perf_counter()
        async with self._session.post(url, json=body) as answer:
            answer.raise_for_status()
            await answer.content.readany()
            took = time.perf_counter() - began
            await answer.read()
        return took

    async def _get(self, path: str, **query: str) -> float:
        began = time.perf_counter()
        async with self._session.get(f"{self._api}/{path}", params=query) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
        took = time.perf_counter() - began
        if not found["results"]:
            raise SystemExit(f"{path} found nothing: is everything filled in?")
        return took

    def _one(self) -> object:
        return conversation_id(self._chance.randrange(self._own))
