"""Many clients read streams at once: what arrives, how fast the first of it, at what cost."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from bench.mock_upstream import MARK
from bench.processes import Servers

_MARK = MARK.encode()
# Repeats the whole text at the end; its tokens were counted one by one.
_WHOLE = b"event: chat_complete"
_RAMP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a stream."""

    url: str
    body: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """`first` and `gaps` are seconds: to the first token, and the longest wait in each stream."""

    name: str
    tokens: int = 0
    errors: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    cpu: float = 0.0
    rss: int = 0

    @property
    def tokens_per_cpu_second(self) -> float | None:
        return self.tokens / self.cpu if self.cpu else None

    def first_at(self, percent: int) -> float:
        if len(self.first) < 2:
            return sum(self.first)
        return statistics.quantiles(self.first, n=100, method="inclusive")[percent - 1]


async def load(
    name: str,
    asks: list[Ask],
    *,
    streams: int,
    tokens: int,
    server: Servers | None = None,
    ramp: float = _RAMP_SECONDS,
) -> Outcome:
    """Send `asks`, `streams` of them at a time, and expect `tokens` in each answer.

    The streams begin within `ramp` seconds.
    """
    outcome = Outcome(name)
    waiting = list(reversed(asks))
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=240)

    async def worker(number: int) -> None:
        await asyncio.sleep(ramp * number / streams)
        while waiting:
            await _read(session, waiting.pop(), tokens=tokens, outcome=outcome)

    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        watcher = asyncio.create_task(_watch(server, outcome)) if server else None
        before = server.usage().cpu if server else 0.0
        await asyncio.gather(*(worker(number) for number in range(streams)))
        if server and watcher:
            outcome.cpu = server.usage().cpu - before
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
    return outcome


async def _read(session: aiohttp.ClientSession, ask: Ask, *, tokens: int, outcome: Outcome) -> None:
    began = last = time.perf_counter()
    marks, gap, rest = 0, 0.0, b""
    try:
        async with session.post(ask.url, json=ask.body, headers=ask.headers) as answer:
            if answer.status != 200:
                outcome.errors.append(f"{answer.status} {(await answer.text())[:200]}")
                return
            async for chunk in answer.content.iter_any():
                whole, _, rest = (rest + chunk).rpartition(b"\n\n")
                found = sum(
                    event.count(_MARK)
                    for event in whole.split(b"\n\n")
                    if not event.startswith(_WHOLE)
                )
                if not found:
                    continue
                now = time.perf_counter()
                if marks:
                    gap = max(gap, now - last)
                else:
                    outcome.first.append(now - began)
                last = now
                marks += found
    except (aiohttp.ClientError, TimeoutError) as error:
        outcome.errors.append(repr(error))
        return
    if marks != tokens:
        outcome.errors.append(f"{marks} of {tokens} tokens")
    outcome.tokens += marks
    outcome.gaps.append(gap)


async def _watch(server: Servers, outcome: Outcome) -> None:
    while True:
        outcome.rss = max(outcome.rss, server.usage().rss)
        await asyncio.sleep(0.5)
