"""Providers of every protocol that answer each model in a way of its own, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.e2e.person import Person
from tests.faults.provider import Provider
from tests.faults.records import Reader
from tests.models_registry.upstream import Reply, Request, sse
from tests.models_registry.wires import KEY, WIRES, spoken_at
from tests.server import Server

VENDORS = tuple(sorted(WIRES))


Make = Callable[[Any], Reply]
"""A reply in the wire that it is given; made anew for each request."""


class Crooked(Provider):
    """Its models are offered one by one; at the address of a name in `lists` it lists that."""

    def __init__(self, vendor: str) -> None:
        super().__init__()
        self.vendor = vendor
        self.address = self.url.removesuffix("/v1")
        self.wire: Any = spoken_at(self, vendor)
        self.lists: dict[str, Make] = {}
        self._answers: dict[str, Make] = {}

    def offer(self, name: str, answer: Make) -> None:
        """A model `<vendor>-<name>` that answers so."""
        self._answers[f"{self.vendor}-{name}"] = answer
        self.models = list(self._answers)

    def asked(self, name: str) -> list[Request]:
        return [request for request in self.chats if request.json["model"] == name]

    def _reply_to(self, request: Request) -> Reply:
        if request.method == "POST":
            return self._answers[request.json["model"]](self.wire)
        if (name := request.route.split("/")[1]) in self.lists:
            return self.lists[name](self.wire)
        reply: Reply = super()._reply_to(request)
        return reply


def more(wire: Any, words: str) -> bytes:
    """A piece of text in the middle of an answer."""
    write = getattr(wire, "events", sse)
    return bytes(write(wire.delta(words)))


def thought(wire: Any, words: str) -> bytes:
    """A piece of reasoning."""
    write = getattr(wire, "events", sse)
    name = "thinking" if wire is WIRES["anthropic"] else "reasoning_content"
    return bytes(write(wire.delta(**{name: words})))


@contextmanager
def one_of_each() -> Iterator[dict[str, Crooked]]:
    started = {vendor: Crooked(vendor) for vendor in VENDORS}
    yield started
    for provider in started.values():
        provider.close()


def named(providers: dict[str, Crooked]) -> dict[str, str]:
    """The environment of a server that offers their models."""
    variables = {}
    for vendor, provider in providers.items():
        variables[f"{vendor.upper()}_API_KEY"] = KEY
        variables[f"{vendor.upper()}_BASE_URL"] = provider.url
    return variables


async def new_readers(person: Person, servers: Sequence[Server], models: list[str]) -> list[Reader]:
    """A conversation with each model, its reader at one server or the other."""
    return [
        Reader(
            person,
            await asyncio.to_thread(person.conversation, title=model, model=model),
            at=servers[number % len(servers)],
        )
        for number, model in enumerate(models)
    ]


async def ask_all(person: Person, servers: Sequence[Server], models: list[str]) -> list[Reader]:
    """A turn of each model, all at once, read to its end."""
    readers = await new_readers(person, servers, models)
    return list(await asyncio.gather(*(reader.ask() for reader in readers)))
