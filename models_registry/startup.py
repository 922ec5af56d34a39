"""What a server does about models when it starts and ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from django.core.checks import CheckMessage

from common import lifecycle
from common.db import in_thread
from models_registry import tokens
from models_registry.checks import undecryptable_keys, unknown_models
from models_registry.models import Connection
from models_registry.providers.factory import close_providers, load_providers
from models_registry.services.discovery import (
    list_environment_models,
    sync_environment_connections,
)
from models_registry.services.models import ensure_offline_model

logger = logging.getLogger(__name__)


@lifecycle.on_startup
async def offer_models() -> None:
    """Before the server calls itself ready; a server's list is waited for 5 s at most."""
    # Not waited for: a turn that comes before it is ready waits itself.
    threading.Thread(target=tokens.load, name="tokens", daemon=True).start()
    await in_thread(ensure_offline_model)()
    await in_thread(sync_environment_connections)()
    await asyncio.to_thread(load_providers, await in_thread(_vendors_in_use)())
    await in_thread(_tell)(undecryptable_keys)
    await list_environment_models()
    await in_thread(_tell)(unknown_models)


def _vendors_in_use() -> list[str]:
    """Their clients are imported before the first turn; others when a connection asks for them."""
    return list(Connection.objects.values_list("provider", flat=True).distinct().order_by())


def _tell(check: Callable[..., list[CheckMessage]]) -> None:
    for message in check(databases=["default"]):
        logger.warning("%s %s", message.msg, message.hint)


lifecycle.on_shutdown(close_providers)
