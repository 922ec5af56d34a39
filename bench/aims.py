"""What was aimed at, and whether it was reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.results import Row, median, one

DIRECT = "direct"
RELAY = "bare relay"
_SQLITE, _BOTH = "SQLite", "PostgreSQL and Redis"


class Aim(NamedTuple):
    says: str
    found: float | None
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def is_reached(self) -> bool:
        if self.found is None:
            return False
        low, high = self.least, self.most
        return (low is None or self.found >= low) and (high is None or self.found <= high)


def table(parts: dict[str, Any]) -> list[str]:
    """A line for each aim that was measured."""
    lines = ["| aim | | measured | reached |", "| --- | --- | --- | --- |"]
    for aim in aims(parts):
        if aim.found is None:
            continue
        bound = f"at least {aim.least:g}" if aim.least is not None else f"at most {aim.most:g}"
        figure = f"{aim.found:.2f}" if aim.found < 10 else f"{aim.found:.0f}"
        unit = f" {aim.unit}" if aim.unit else ""
        verdict = "yes" if aim.is_reached else "**no**"
        lines.append(f"| {aim.says} | {bound}{unit} | {figure}{unit} | {verdict} |")
    return lines


def aims(parts: dict[str, Any]) -> Iterator[Aim]:
    rows: list[Row] = parts.get("streams", {}).get("rows", [])
    for store, least in ((_SQLITE, 0.5), (_BOTH, 0.4)):
        name = f"Parley, {store}"
        yield Aim(f"50 streams on {store}: of the relay", _of_relay(rows, name), least=least)
    for store in (_SQLITE, _BOTH):
        row = one(rows, target=f"Parley, {store}", streams=50)
        direct = one(rows, target=DIRECT, streams=50)
        added = over(row, direct, "first_p50")
        yield Aim(f"50 streams on {store}: first token over direct", added, most=6, unit="ms")
    for store in (_SQLITE, _BOTH):
        name = f"Parley, {store}"
        share = _ratio(_rate(rows, name, 200), _rate(rows, name, 50))
        yield Aim(f"200 streams on {store}: tokens per CPU-second, of 50", share, least=1)
    both = _rate(rows, f"Parley, two processes, {_BOTH}", 50)
    share = _ratio(both, _rate(rows, f"Parley, {_BOTH}", 50))
    yield Aim("Two processes: tokens per CPU-second, of one", share, least=0.9)
    for store in (_SQLITE, _BOTH):
        found = one(parts.get("sockets", {}).get("rows", []), store=store, sockets=10_000)
        each = found["kib_each"] * 1.024 if found else None
        yield Aim(f"An idle socket of 10,000 on {store}", each, most=60, unit="KB")
    for row in parts.get("million", {}).get("rows", []):
        if row["request"] != "search":
            says = f"{row['request']} among a million messages on {row['store']}, p99"
            yield Aim(says, row["p99"], most=50, unit="ms")


def over(row: Row | None, direct: Row | None, name: str) -> float | None:
    """How much longer it took than asking the provider directly, median less median."""
    if row is None or direct is None:
        return None
    taken, least = median(row["rounds"], name), median(direct["rounds"], name)
    return None if taken is None or least is None else taken - least


def _of_relay(rows: list[Row], name: str) -> float | None:
    return _ratio(_rate(rows, name, 50), _rate(rows, RELAY, 50))


def _rate(rows: list[Row], name: str, streams: int) -> float | None:
    row = one(rows, target=name, streams=streams)
    return median(row["rounds"], "rate") if row else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value and base else None
