"""The anthropic client, by the guard's rules. To be imported through `lazily`.

Nothing comes from the environment: the client would else send ANTHROPIC_API_KEY,
ANTHROPIC_AUTH_TOKEN, a profile's token and ANTHROPIC_CUSTOM_HEADERS to whatever base URL a person
typed, and ANTHROPIC_BASE_URL would decide where (SECURITY K9).
"""

from __future__ import annotations

from typing import Any

import httpx2
from anthropic import APIStatusError, AsyncAnthropic, AsyncStream

from models_registry.providers.base import Endpoint
from models_registry.providers.clients import headers, http_client

__all__ = ["APIStatusError", "Client", "open_client"]

_OFFICIAL_HOST = "https://api.anthropic.com"


class Client(AsyncAnthropic):
    """An anthropic client whose headers are these and no others."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(
            # People give the address with the version and without it.
            base_url=endpoint.base_url.removesuffix("/v1"),
            # "" is no key; None would be the environment's.
            api_key=endpoint.api_key,
            webhook_key="",
            max_retries=0,
            open_telemetry=False,
            http_client=http_client(endpoint),
        )
        # The environment's; they would win over all others.
        self._custom_headers = {}
        self._key_headers = _key_headers(endpoint)

    @property
    def default_headers(self) -> dict[str, str]:  # type: ignore[override]
        return headers() | self._key_headers

    def _validate_headers(self, headers: httpx2.Headers, omitted: frozenset[str]) -> None:
        """A server of one's own may want no key."""

    async def send(self, body: bytes, *, version: str) -> httpx2.Response:
        """The response to a request for an answer, its body unread."""
        # `cast_to` is what it answers with; its types know of `stream_cls` alone.
        response: Any = await self.post(
            "/v1/messages",
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {"anthropic-version": version}},
            stream=True,
            stream_cls=AsyncStream[Any],
        )
        return response  # type: ignore[no-any-return]

    async def send_list(self, query: dict[str, str], *, version: str) -> httpx2.Response:
        """The response to a request for a page of the list of models."""
        response: Any = await self.get(
            "/v1/models",
            cast_to=httpx2.Response,
            options={"headers": {"anthropic-version": version}, "params": query},
            stream=True,
            stream_cls=AsyncStream[Any],
        )
        return response  # type: ignore[no-any-return]


def open_client(endpoint: Endpoint) -> Client:
    """A client for this endpoint alone; the caller closes it."""
    return Client(endpoint)


def _key_headers(endpoint: Endpoint) -> dict[str, str]:
    """The key as the vendor's own client sends it; others know the older header, or both."""
    if not endpoint.api_key:
        return {}
    bearer = {"Authorization": f"Bearer {endpoint.api_key}"}
    if endpoint.base_url.startswith(_OFFICIAL_HOST):
        return bearer
    return bearer | {"X-Api-Key": endpoint.api_key}
