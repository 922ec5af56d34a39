"""What a server does about models when it starts and ends."""

from __future__ import annotations

import asyncio

from common import lifecycle
from common.db import in_thread
from models_registry.providers.factory import close_providers, load_providers
from models_registry.services.discovery import (
    list_environment_models,
    sync_environment_connections,
)
from models_registry.services.models import ensure_offline_model


@lifecycle.on_startup
async def offer_models() -> None:
    """Before the server calls itself ready; a server's list is waited for 5 s at most."""
    await asyncio.to_thread(load_providers)
    await in_thread(ensure_offline_model)()
    await in_thread(sync_environment_connections)()
    await list_environment_models()


lifecycle.on_shutdown(close_providers)
