"""The model that is always there: no key, no network. It answers from Parley's documentation."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from models_registry.providers.base import ChatRequest, Endpoint, Finished, Provider, ProviderEvent
from models_registry.providers.vendors import Vendor


class OfflineProvider(Provider):
    def __init__(self, endpoint: Endpoint, *, vendor: Vendor, upstream_name: str) -> None:
        pass

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        yield Finished("stop", None)

    async def list_models(self) -> list[str]:
        return ["offline"]
