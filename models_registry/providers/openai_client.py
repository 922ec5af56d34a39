"""The openai client, by the guard's rules.

Nothing comes from the environment: the client would else send OPENAI_API_KEY, OPENAI_ORG_ID and
OPENAI_CUSTOM_HEADERS to whatever base URL a person typed (SECURITY K9).
"""

from __future__ import annotations

from openai import AsyncOpenAI

from models_registry.providers.base import Endpoint
from models_registry.providers.clients import headers, http_client


class Client(AsyncOpenAI):
    """An openai client whose headers are these and no others."""

    @property
    def default_headers(self) -> dict[str, str]:  # type: ignore[override]
        return headers()


def open_client(endpoint: Endpoint) -> Client:
    """A client for this endpoint alone; the caller closes it."""
    return Client(
        base_url=endpoint.base_url,
        # "" is no key; None would be the environment's.
        api_key=endpoint.api_key,
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        max_retries=0,
        http_client=http_client(endpoint),
    )
