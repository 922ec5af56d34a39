"""One client per connection, process and event loop, and what all vendors' clients share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import httpx2
from django.conf import settings
from openai import DefaultAioHttpClient
from openai._vendor.httpx_aiohttp import AiohttpTransport

from common.outbound import guarded_session, tls_context
from models_registry.errors import ProviderGarbled
from models_registry.providers.base import Endpoint

# Connections beyond this many, the longest unused first, are closed when another is opened.
_MOST_IDLE = 256
_BODY = "parley.body"


def headers() -> dict[str, str]:
    """What every provider is told about us, and no more."""
    return {
        "Accept": "application/json",
        # A packed answer could unpack to anything (F10).
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"Parley/{settings.VERSION}",
    }


def http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """What carries the requests of a vendor's client, by the guard's rules.

    Raises httpx2.InvalidURL for an address that is none to it, before anything is open.
    """
    httpx2.URL(endpoint.base_url)
    session = guarded_session(allow_private=endpoint.allow_private)
    silence = max(settings.PROVIDER_FIRST_TOKEN_SECONDS, settings.PROVIDER_SILENCE_SECONDS)
    connect = settings.PROVIDER_CONNECT_SECONDS
    return DefaultAioHttpClient(
        transport=_Transport(client=session, verify=tls_context(), trust_env=False),
        follow_redirects=False,
        trust_env=False,
        # "pool" is aiohttp's whole time to a usable connection: name, socket and TLS.
        timeout=httpx2.Timeout(connect=connect, read=silence, write=silence, pool=connect),
    )


class _Transport(AiohttpTransport):
    """Refuses packed bodies, and reads of an error no more than its beginning.

    The vendors' clients read a refusal's whole body into memory before they raise, and tell every
    server about themselves.
    """

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(_without_telling(request))
        response.request = request  # the client looks for its own headers there
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            await response.aclose()
            raise ProviderGarbled()
        if not response.is_success and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Beginning(response.stream, settings.PROVIDER_ERROR_BYTES)
        response.extensions[_BODY] = response.stream
        return response


def raw_bytes(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The body as it arrives: past three generators of httpx's, each of which would be woken for
    each token. Closing the response closes it."""
    body: httpx2.AsyncByteStream = response.extensions[_BODY]
    return aiter(body)


def _without_telling(request: httpx2.Request) -> httpx2.Request:
    """The same request, less what the client says about itself and its settings."""
    return httpx2.Request(
        request.method,
        request.url,
        headers=[
            (name, value)
            for name, value in request.headers.multi_items()
            if not name.startswith("x-stainless-")
        ],
        content=request.content,
        extensions=request.extensions,
    )


class _Beginning(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, max_bytes: int) -> None:
        self._inner = inner
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._max_bytes
        async for chunk in self._inner:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._inner.aclose()


class Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


@dataclass(slots=True)
class Entry(Generic[C]):
    """A client in use. `refused` holds what its server was found not to take."""

    endpoint: Endpoint
    client: C
    users: int = 0
    retired: bool = False
    refused: set[str] = field(default_factory=set)


class ClientPool:
    """The clients of one event loop."""

    def __init__(self) -> None:
        self._entries: dict[UUID, Entry[Any]] = {}

    @asynccontextmanager
    async def use(
        self, endpoint: Endpoint, open_one: Callable[[Endpoint], C]
    ) -> AsyncIterator[Entry[C]]:
        found = self._entries.pop(endpoint.connection_id, None)
        is_current = found is not None and found.endpoint == endpoint
        entry = found if found and is_current else Entry(endpoint, open_one(endpoint))
        # Before anything waits: else two turns after a change would each make a client, and one
        # of the two would never be closed.
        self._entries[endpoint.connection_id] = entry
        entry.users += 1
        try:
            if found is not None and not is_current:
                # The connection was changed; who still streams through the old client may end.
                await self._retire(found)
            await self._close_unused()
            yield entry
        finally:
            entry.users -= 1
            if entry.retired and not entry.users:
                await entry.client.close()

    async def close(self) -> None:
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            await entry.client.close()

    async def _retire(self, entry: Entry[Any]) -> None:
        entry.retired = True
        if not entry.users:
            await entry.client.close()

    async def _close_unused(self) -> None:
        excess = len(self._entries) - _MOST_IDLE
        if excess <= 0:
            return
        unused = [key for key, entry in self._entries.items() if not entry.users]
        for key in unused[:excess]:
            await self._retire(self._entries.pop(key))


_pools: dict[asyncio.AbstractEventLoop, ClientPool] = {}


def pool() -> ClientPool:
    """The pool of the running loop; there is one loop that runs turns, and tests have more."""
    loop = asyncio.get_running_loop()
    found = _pools.get(loop)
    if found is None:
        for gone in [each for each in _pools if each.is_closed()]:
            del _pools[gone]
        found = _pools[loop] = ClientPool()
    return found


async def close_clients() -> None:
    """Close every client of the running loop."""
    if found := _pools.pop(asyncio.get_running_loop(), None):
        await found.close()
