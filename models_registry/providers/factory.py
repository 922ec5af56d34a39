"""From a route to the object that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.module_loading import import_string

from models_registry.providers.base import Endpoint, Provider, Route
from models_registry.providers.vendors import VENDORS

# By name: the openai client takes most of a second to import, which a command that needs no
# provider should not wait for.
_PROTOCOLS = {
    "anthropic": "models_registry.providers.anthropic.AnthropicProvider",
    "dashscope": "models_registry.providers.dashscope.DashScopeProvider",
    "offline": "models_registry.providers.offline.OfflineProvider",
    "openai": "models_registry.providers.openai.OpenAIProvider",
}
_loaded: dict[str, Any] = {}


def provider_for(route: Route) -> Provider:
    """The provider of one turn."""
    return provider_at(
        route.endpoint,
        upstream_name=route.upstream_name,
        max_output_tokens=route.max_output_tokens,
    )


def provider_at(
    endpoint: Endpoint, *, upstream_name: str = "", max_output_tokens: int | None = None
) -> Provider:
    """The provider at an endpoint; without a model it can only list."""
    protocol = _class_of(VENDORS[endpoint.provider].protocol)
    provider: Provider = protocol(
        endpoint, upstream_name=upstream_name, max_output_tokens=max_output_tokens
    )
    return provider


def load_providers(vendors: Iterable[str] = VENDORS) -> None:
    """Import what these vendors' protocols need, so that no turn waits for it."""
    for protocol in {VENDORS[vendor].protocol for vendor in vendors if vendor in VENDORS}:
        _class_of(protocol).load_all()


async def close_providers() -> None:
    """Close the connections of every provider; at shutdown, on the loop that used them."""
    for protocol in list(_loaded.values()):
        await protocol.close_all()


def _class_of(protocol: str) -> Any:
    if protocol not in _loaded:
        _loaded[protocol] = import_string(_PROTOCOLS[protocol])
    return _loaded[protocol]
