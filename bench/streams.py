"""Streams side by side: the same answers asked of everything that can give them, in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench.load import Ask, Outcome, load
from bench.mock_upstream import MODEL, PACE, SLOW_MODEL
from bench.processes import Servers, say
from bench.results import Row

# How many answers in all where so many streams are open at once; and which model writes them. The
# slow one, so that a thousand really are open together.
LOADS = {10: (20, MODEL), 50: (150, MODEL), 200: (200, MODEL), 1_000: (1_000, SLOW_MODEL)}
# New streams in a second: where a thousand are open, they have come one after another.
_ARRIVING = 100

Asks = Callable[[int, str], Awaitable[list[Ask]]]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that streams: `asks` makes so many requests for answers of a model; `servers` are
    the processes that it costs, none for what costs nothing that counts."""

    name: str
    asks: Asks
    servers: Servers | None = None


def measure(targets: Sequence[Target], *, streams: Sequence[int], rounds: int) -> list[Row]:
    """A row for each target and number of streams; each has every round's figures.

    The targets take turns within a round, so that whatever else the machine does falls on all.
    """
    rows: dict[tuple[str, int], Row] = {}
    for target in targets:
        say(f"warming up {target.name}")
        asyncio.run(_once(target, 20, 40, MODEL))
    for number in range(1, rounds + 1):
        for count in streams:
            answers, model = LOADS.get(count, (3 * count, MODEL))
            for target in targets:
                outcome = asyncio.run(_once(target, count, answers, model))
                found = figures(outcome)
                say(f"round {number}, {count} streams, {target.name}: {shown(found)}")
                for error in outcome.errors[:3]:
                    say(f"  error: {error}")
                row: Row = {"target": target.name, "streams": count, "model": model, "rounds": []}
                rows.setdefault((target.name, count), row)["rounds"].append(found)
    return list(rows.values())


async def _once(target: Target, count: int, answers: int, model: str) -> Outcome:
    pace = PACE.match(model)
    if pace is None:
        raise ValueError(model)
    return await load(
        target.name,
        await target.asks(answers, model),
        streams=count,
        tokens=int(pace[1]),
        server=target.servers,
        ramp=max(0.5, count / _ARRIVING),
    )


def figures(outcome: Outcome) -> Row:
    """What is kept of one round: milliseconds and MB."""
    rate = outcome.tokens_per_cpu_second
    return {
        "rate": round(rate) if rate else None,
        "first_p50": round(outcome.first_at(50) * 1000, 1) if outcome.first else None,
        "first_p99": round(outcome.first_at(99) * 1000, 1) if outcome.first else None,
        "memory": round(outcome.rss / 1e6) if outcome.rss else None,
        "errors": len(outcome.errors),
    }


def shown(found: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items() if value is not None)
