"""Does a connection work? Asked of its server, told in words that map no network (O8)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django.utils.translation import gettext as _

from common import rates
from common.crypto import Undecryptable
from common.db import release_connection
from models_registry.errors import (
    ModelUnavailable,
    ProviderBusy,
    ProviderCut,
    ProviderError,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
)
from models_registry.models import Connection
from models_registry.providers.base import Endpoint
from models_registry.providers.factory import load_providers, provider_at
from models_registry.services.endpoints import endpoint_of
from models_registry.services.permissions import Actor, check_may, is_staff

TEST_SECONDS = 10
_KEY_REFUSED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    ok: bool
    latency_ms: int = 0
    models: list[str] = field(default_factory=list)
    code: str = ""
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The shape of API.md."""
        if self.ok:
            return {"ok": True, "latency_ms": self.latency_ms, "models": self.models}
        return {"ok": False, "code": self.code, "detail": self.detail}


def check_connection(connection: Connection, *, actor: Actor) -> ConnectionCheck:
    """Ask the server for its models. Raises PermissionDenied and RateLimited."""
    check_may(actor, connection, "change")
    if actor is not None:
        rates.hit("connection_test", str(actor.pk))
    try:
        endpoint = endpoint_of(connection, actor)
    except Undecryptable:
        detail = _("The stored key cannot be decrypted. Enter it again.")
        return ConnectionCheck(ok=False, code=ModelUnavailable.code, detail=detail)
    release_connection()
    load_providers([endpoint.provider])  # the seconds that takes are not the server's
    begun = time.monotonic()
    try:
        models = async_to_sync(_listed)(endpoint)
    except (ProviderError, TimeoutError) as exc:
        detail = _told_staff(exc) if is_staff(actor) else _told_others(exc)
        return ConnectionCheck(ok=False, code=ProviderError.code, detail=detail)
    latency = round((time.monotonic() - begun) * 1_000)
    return ConnectionCheck(ok=True, latency_ms=latency, models=models)


async def _listed(endpoint: Endpoint) -> list[str]:
    async with asyncio.timeout(TEST_SECONDS):
        return await provider_at(endpoint).list_models()


def _told_staff(exc: ProviderError | TimeoutError) -> str:
    if isinstance(exc, TimeoutError):
        return str(ProviderTimeout.title)
    if exc.upstream_status is None:
        return str(exc)
    return _("%(reason)s (HTTP %(status)d)") % {"reason": exc, "status": exc.upstream_status}


def _told_others(exc: ProviderError | TimeoutError) -> str:
    """One of three sentences: an open, a closed and a filtered port look alike."""
    if isinstance(exc, ProviderRefused) and exc.upstream_status in _KEY_REFUSED:
        return _("The server does not accept this key.")
    silent = (TimeoutError, ProviderUnreachable, ProviderTimeout, ProviderCut)
    if isinstance(exc, silent) or (
        exc.upstream_status is None and not isinstance(exc, ProviderBusy)
    ):
        return _("The server cannot be reached.")
    return _("The server does not speak this protocol.")
