"""Where what is being done comes from: the request, the socket or the command that asked for it.

Services ask `current()`; the doors say it once, so that no service hands it on to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog

from common.addresses import client_address
from common.request_headers import header
from common.text import printable

CLIENT_CHARACTERS = 200
ADDRESS_CHARACTERS = 45


@dataclass(frozen=True, slots=True)
class Source:
    """`client` is what a program calls itself. All are "" for a job, which nobody asked for."""

    address: str = ""
    client: str = ""
    request_id: str = ""


_asker: ContextVar[Mapping[str, Any] | str] = ContextVar("asker", default="")


def asked_by(scope_or_meta: Mapping[str, Any]) -> None:
    """From here on this request or socket is what things come from."""
    _asker.set(scope_or_meta)


@contextmanager
def command(name: str) -> Iterator[None]:
    """Within, things come from the command line."""
    before = _asker.set(f"manage.py {name}")
    try:
        yield
    finally:
        _asker.reset(before)


def current() -> Source:
    asker = _asker.get()
    if isinstance(asker, str):
        return Source(client=asker)
    return Source(
        address=client_address(asker)[:ADDRESS_CHARACTERS],
        client=printable(header(asker, "user-agent"))[:CLIENT_CHARACTERS],
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
    )
