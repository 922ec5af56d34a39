"""How long it takes until a server is ready: with nothing there, and with everything there."""

from __future__ import annotations

import time
from pathlib import Path

from bench.parley import Stores, serve
from bench.processes import say
from bench.results import Row


def measure(stores: Stores, *, folder: Path, core: int, rounds: int) -> list[Row]:
    """Seconds from the command to "ready". A cold start also makes the secrets and the database;
    a second process on PostgreSQL finds both."""
    cold, warm = [], []
    for number in range(1, rounds + 1):
        data = folder / f"start-{number}"
        cold.append(_seconds(stores, data, core))
        warm.append(_seconds(stores, data, core))
        say(f"round {number}, start on {stores.name}: cold {cold[-1]} s, warm {warm[-1]} s")
        if stores.database_url:
            break  # only the first found an empty database
    rows = [("cold", cold), ("warm", warm)]
    return [{"store": stores.name, "start": name, "seconds": each} for name, each in rows]


def _seconds(stores: Stores, data: Path, core: int) -> float:
    began = time.monotonic()
    with serve(stores, upstream="http://127.0.0.1:9", core=core, folder=data):
        return round(time.monotonic() - began, 2)
