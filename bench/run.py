"""What Parley costs, beside a bare relay and the provider itself: `make bench`.

All of it on this machine, on loopback, the servers under test alone on their core. What is measured
goes into bench/results.json, part by part; --write makes charts and tables of that.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import million, peers, report, results, sockets, starts, streams
from bench.aims import DIRECT, RELAY
from bench.load import Ask
from bench.parley import Person, Stores, completions, fresh_database, messages, serve, sign_up
from bench.processes import ROOT, Server, Servers, cores, free_port, say
from bench.streams import Target

PARTS = ("streams", "sockets", "million", "starts")


class Run:
    """One run: the provider stays up, the servers under test come and go."""

    def __init__(self, given: argparse.Namespace, stack: ExitStack) -> None:
        self.given = given
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-bench-")))
        self.core, self.other_core = cores()
        port = free_port()
        self.upstream = stack.enter_context(
            Server(
                ["-m", "bench.mock_upstream", f"--port={port}"],
                port=port,
                core=self.other_core,
                log=self.folder / "upstream.log",
            )
        )

    def serve(self, stores: Stores, name: str) -> Server:
        folder = self.folder / name
        return serve(stores, upstream=self.upstream.url, core=self.core, folder=folder)

    def stores(self, stack: ExitStack) -> list[Stores]:
        """SQLite, and PostgreSQL with Redis where they can be had."""
        found = [Stores()] if self.given.store != "postgresql" else []
        if self.given.store != "sqlite":
            url = stack.enter_context(fresh_database(self.given.postgres))
            found += [Stores(url, self.given.redis)] if url else []
        return found

    # -- the parts -------------------------------------------------------------------------
    def streams(self) -> None:
        with ExitStack() as stack:
            targets = self._bare(stack)
            for stores in self.stores(stack):
                targets += self._parley(stack, stores)
            given = self.given
            rows = streams.measure(targets, streams=given.streams, rounds=given.rounds)
        results.keep("streams", rows, rounds=self.given.rounds)

    def peers(self) -> None:
        python = peers.python_of(ROOT / "var" / "bench-peers")
        with ExitStack() as stack:
            targets = self._bare(stack)
            proxy = stack.enter_context(
                peers.litellm(
                    python, upstream=self.upstream.url, core=self.core, folder=self.folder
                )
            )
            url = f"{proxy.url}/v1/chat/completions"
            asks = partial(_completions, url, peers.headers())
            targets.append(Target("LiteLLM proxy", asks, Servers(proxy)))
            given = self.given
            counts = [each for each in given.streams if each <= 200]
            rows = streams.measure(targets, streams=counts, rounds=given.rounds)
        version = peers.version_of(python)
        results.keep("peers", rows, rounds=self.given.rounds, litellm=version)

    def sockets(self) -> None:
        rows = []
        with ExitStack() as stack:
            for stores in self.stores(stack):
                with self.serve(stores, f"sockets-{stores.name}") as server:
                    found = asyncio.run(sockets.measure(server, numbers=self.given.sockets))
                rows += [{"store": stores.name, **row} for row in found]
        results.keep("sockets", rows)

    def million(self) -> None:
        rows = []
        with ExitStack() as stack:
            for stores in self.stores(stack):
                rows += million.measure(
                    stores,
                    upstream=self.upstream.url,
                    core=self.core,
                    folder=self.folder / f"million-{stores.name}",
                    number=self.given.messages,
                )
        results.keep("million", rows)

    def starts(self) -> None:
        rows = []
        with ExitStack() as stack:
            for stores in self.stores(stack):
                folder = self.folder / f"starts-{stores.name}"
                folder.mkdir()
                rows += starts.measure(
                    stores, folder=folder, core=self.core, rounds=self.given.rounds
                )
        results.keep("starts", rows)

    # -- what streams ----------------------------------------------------------------------
    def _bare(self, stack: ExitStack) -> list[Target]:
        url = f"{self.upstream.url}/v1/chat/completions"
        port = free_port()
        relay = stack.enter_context(
            Server(
                ["-m", "bench.relay", f"--port={port}", f"--upstream={url}"],
                port=port,
                core=self.core,
                log=self.folder / f"relay-{port}.log",
            )
        )
        return [
            Target(DIRECT, partial(_completions, url, {})),
            Target(RELAY, partial(_completions, f"{relay.url}/", {}), Servers(relay)),
        ]

    def _parley(self, stack: ExitStack, stores: Stores) -> list[Target]:
        first = stack.enter_context(self.serve(stores, f"streams-{stores.name}"))
        person = sign_up(first)
        targets = [Target(f"Parley, {stores.name}", _messages([first], person), Servers(first))]
        if not stores.redis_url:
            asks = partial(_completions, f"{first.url}/v1/chat/completions", person.headers)
            targets.append(Target(f"Parley /v1, {stores.name}", asks, Servers(first)))
        else:
            second = stack.enter_context(self.serve(stores, f"streams-{stores.name}"))
            both = _messages([first, second], person)
            targets.append(
                Target(f"Parley, two processes, {stores.name}", both, Servers(first, second))
            )
        return targets


async def _completions(url: str, headers: dict[str, str], number: int, model: str) -> list[Ask]:
    return completions(url, headers, number, model)


def _messages(servers: Sequence[Server], person: Person) -> streams.Asks:
    return partial(messages, servers, person)


def numbers(text: str) -> list[int]:
    return [int(each) for each in text.replace("_", "").split(",")]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(PARTS),
        metavar="PART,…",
        help=f"of {', '.join((*PARTS, 'peers'))}; all but the last unless given",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="the median of so many counts (%(default)s)"
    )
    parser.add_argument(
        "--streams", type=numbers, default="10,50,200,1000", help="at a time (%(default)s)"
    )
    parser.add_argument(
        "--sockets", type=numbers, default="1000,5000,10000", help="idle ones (%(default)s)"
    )
    parser.add_argument(
        "--messages", type=int, default=1_000_000, help="that are there already (%(default)s)"
    )
    parser.add_argument("--store", choices=["sqlite", "postgresql"], help="one Parley of the two")
    parser.add_argument("--postgres", default="postgres://postgres@127.0.0.1:5432/parley")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/8")
    parser.add_argument(
        "--write", action="store_true", help="charts and tables of all results into docs/"
    )
    given = parser.parse_args(argv)
    if unknown := set(given.only) - {*PARTS, "peers", ""}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return given


def main() -> None:
    given = arguments()
    sockets.allow_files()
    parts = [part for part in given.only if part]
    if parts:
        with ExitStack() as stack:
            run = Run(given, stack)
            for part in parts:
                say(f"-- {part}")
                getattr(run, part)()
    print(report.tables(results.load()))
    if given.write:
        report.write(results.load())


if __name__ == "__main__":
    main()
