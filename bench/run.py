"""What a stream through Parley costs, beside a bare relay and the provider itself: `make bench`.

All of it in one run, on loopback, the server under test alone on its core.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench.load import Ask, Outcome, load
from bench.mock_upstream import MODEL, PACE
from bench.parley import Idle, Stores, completions, idle_sockets, serve, sign_in, streams
from bench.processes import ROOT, Server, cores, free_port

REPORT = ROOT / "docs" / "performance.md"
HEADING = "## The figures"
pace = PACE.match(MODEL)
assert pace  # noqa: S101 the model's name is ours
TOKENS = int(pace[1])
# Of each metric one that never ends the run, and of two kinds of windows.
LIMITS = (
    {"metric": "requests", "period": "day", "limit": 10**9},
    {"metric": "tokens", "period": "month", "limit": 10**12},
    {"metric": "cost", "period": "month", "limit": "1000000"},
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
        print(f"No PostgreSQL at {urlsplit(url).hostname}, left out: {error}")
        yield ""
        return
    with connection:
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield fresh
        finally:
            connection.execute(drop)


def _streams(server: Server, token: str, number: int) -> list[Ask]:
    return streams(server, token, number=number)


def _completions(server: Server, token: str, number: int) -> list[Ask]:
    return completions(server, token, number=number)


def _spread(rates: list[float]) -> str:
    return f" ({min(rates):,.0f}-{max(rates):,.0f})" if len(rates) > 1 else ""


class Bench:
    """One run: the provider stays up, the servers under test come and go."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.server_core, self.other_core = cores()
        self.outcomes: dict[str, list[Outcome]] = {}
        self.idle: dict[str, Idle] = {}

    def measure(self, name: str, asks: list[Ask], server: Server | None = None) -> None:
        print(f"{name}: {len(asks)} streams, {self.arguments.streams} at a time ...", flush=True)
        outcome = asyncio.run(
            load(name, asks, streams=self.arguments.streams, tokens=TOKENS, server=server)
        )
        self.outcomes.setdefault(name, []).append(outcome)
        for error in outcome.errors[:3]:
            print(f"  error: {error}")

    def bare(self, upstream: Server) -> None:
        body = {
            "model": MODEL,
            "stream": True,
            "messages": [{"role": "user", "content": "Say something long."}],
        }
        completions = f"{upstream.url}/v1/chat/completions"
        number = self.arguments.requests
        self.measure("direct", [Ask(completions, body)] * number)
        port = free_port()
        with Server(
            ["-m", "bench.relay", f"--port={port}", f"--upstream={completions}"],
            port=port,
            core=self.server_core,
            log=self.folder / "relay.log",
        ) as relay:
            self.measure("relay", [Ask(f"{relay.url}/", body)] * number, relay)

    def parley(self, name: str, stores: Stores, upstream: Server) -> None:
        folder = self.folder / name.replace(" ", "-")
        with serve(stores, upstream=upstream.url, core=self.server_core, folder=folder) as server:
            # In turn, so that whatever else the machine does falls on all alike.
            kinds: dict[str, Callable[[int], list[Ask]]] = {}
            for label, limits in (("no limits", []), ("limits", LIMITS)):
                token = sign_in(server, limits=limits)
                kinds[f"{name}, {label}"] = partial(_streams, server, token)
                kinds[f"{name}, /v1, {label}"] = partial(_completions, server, token)
            for each in kinds.values():
                warm = each(self.arguments.streams)
                asyncio.run(load("warm", warm, streams=self.arguments.streams, tokens=TOKENS))
            for _round in range(self.arguments.rounds):
                for kind, asks in kinds.items():
                    self.measure(kind, asks(self.arguments.requests), server)
            if self.arguments.sockets:
                print(f"{name}: {self.arguments.sockets} idle sockets ...", flush=True)
                self.idle[name] = asyncio.run(idle_sockets(server, number=self.arguments.sockets))

    def table(self) -> str:
        (direct,) = self.outcomes["direct"]
        (relay,) = self.outcomes["relay"]
        base = relay.tokens_per_cpu_second or 1
        rows = [
            "| | tokens per CPU-second | of the relay | first token p50, p95 ms "
            "| added p50, p95 ms | memory MB | errors |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for name, rounds in self.outcomes.items():
            rates = [each.tokens_per_cpu_second or 0 for each in rounds]
            rate = statistics.median(rates)
            first = {
                percent: statistics.median(each.first_at(percent) * 1000 for each in rounds)
                for percent in (50, 95)
            }
            added = [first[percent] - direct.first_at(percent) * 1000 for percent in first]
            memory = max(each.rss for each in rounds)
            cells = [
                name,
                f"{rate:,.0f}{_spread(rates)}" if rate else "-",
                f"{rate / base:.2f}" if rate else "-",
                ", ".join(f"{one:.1f}" for one in first.values()),
                "-" if rounds == [direct] else ", ".join(f"{one:.1f}" for one in added),
                f"{memory / 1e6:.0f}" if memory else "-",
                str(sum(len(each.errors) for each in rounds)),
            ]
            rows.append(f"| {' | '.join(cells)} |")
        for name, idle in self.idle.items():
            rows += [
                "",
                f"{idle.sockets:,} idle signed-in sockets on {name}: "
                f"{idle.bytes_each / 1024:.0f} KiB each, "
                f"{idle.cpu_percent:.1f} % of a core in all.",
            ]
        return "\n".join(rows)


def write_report(table: str, arguments: argparse.Namespace) -> None:
    kept = REPORT.read_text(encoding="utf-8").partition(HEADING)[0].rstrip()
    today = datetime.datetime.now(tz=datetime.UTC).date()
    how = (
        f"{today}, Python {platform.python_version()}, {platform.machine()}, "
        f"{arguments.requests} answers, {arguments.streams} at a time, medians of "
        f"{arguments.rounds} rounds with the least and the most:"
    )
    REPORT.write_text(f"{kept}\n\n{HEADING}\n\n{how}\n\n{table}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=50, help="at a time (%(default)s)")
    parser.add_argument("--requests", type=int, default=300, help="in all (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the median counts (%(default)s)")
    parser.add_argument("--sockets", type=int, default=1000, help="idle ones (%(default)s)")
    parser.add_argument("--postgres", default="postgres://postgres@127.0.0.1:5432/parley")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/8")
    parser.add_argument("--only", choices=["sqlite", "postgres"], help="one Parley of the two")
    parser.add_argument("--write", action="store_true", help=f"the table into {REPORT.name}")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        bench = Bench(arguments, Path(folder))
        port = free_port()
        with Server(
            ["-m", "bench.mock_upstream", f"--port={port}"],
            port=port,
            core=bench.other_core,
            log=Path(folder) / "upstream.log",
        ) as upstream:
            bench.bare(upstream)
            if arguments.only != "postgres":
                bench.parley("Parley on SQLite", Stores(), upstream)
            if arguments.only != "sqlite":
                with fresh_database(arguments.postgres) as database_url:
                    if database_url:
                        stores = Stores(database_url, arguments.redis)
                        bench.parley("Parley on PostgreSQL and Redis", stores, upstream)
    table = bench.table()
    print(f"\n{table}")
    if arguments.write:
        write_report(table, arguments)


if __name__ == "__main__":
    main()
