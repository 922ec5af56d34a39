"""From a route to the object that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable

from models_registry.providers.base import Endpoint, Provider, Route
from models_registry.providers.clients import close_clients
from models_registry.providers.offline import OfflineProvider
from models_registry.providers.openai import OpenAIProvider
from models_registry.providers.vendors import VENDORS

_PROTOCOLS: dict[str, Callable[..., Provider]] = {
    "offline": OfflineProvider,
    "openai": OpenAIProvider,
}


def provider_for(route: Route) -> Provider:
    """The provider of one turn."""
    return provider_at(route.endpoint, upstream_name=route.upstream_name)


def provider_at(endpoint: Endpoint, *, upstream_name: str = "") -> Provider:
    """The provider at an endpoint; without a model it can only list."""
    vendor = VENDORS[endpoint.provider]
    return _PROTOCOLS[vendor.protocol](endpoint, vendor=vendor, upstream_name=upstream_name)


async def close_providers() -> None:
    """Close the connections of every provider; at shutdown, on the loop that used them."""
    await close_clients()
