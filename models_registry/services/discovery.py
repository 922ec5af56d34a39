"""What the environment names becomes connections, and what their servers list becomes models."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from django.conf import settings
from django.utils import timezone

from accounts.models import AuditAction
from accounts.services import audit
from common.crypto import Undecryptable
from common.db import in_thread, write_transaction
from common.errors import Invalid
from models_registry.errors import ProviderError, ProviderTimeout
from models_registry.models import ChatModel, Connection, EnvironmentProvider
from models_registry.models.connection import SYSTEM
from models_registry.providers.base import Endpoint
from models_registry.providers.factory import load_providers, provider_at
from models_registry.providers.vendors import VENDORS
from models_registry.services.connection_tests import ConnectionCheck, check_connection
from models_registry.services.connections import change_connection, create_connection
from models_registry.services.endpoints import endpoint_of
from models_registry.services.models import known_fields
from models_registry.services.permissions import Actor, check_system
from models_registry.services.records import connection_target
from models_registry.well_known import lookup

logger = logging.getLogger(__name__)


def sync_environment_connections() -> None:
    """Give each provider that the environment names its connection, once; what is deleted stays
    deleted. Key and address follow the environment."""
    for provider, given in settings.PROVIDERS_FROM_ENVIRONMENT.items():
        if provider not in VENDORS or not (given["api_key"] or given["base_url"]):
            continue
        try:
            _sync(provider, api_key=given["api_key"], base_url=given["base_url"])
        except Invalid as exc:
            prefix = provider.upper()
            logger.warning("%s_API_KEY and %s_BASE_URL are not used: %s", prefix, prefix, exc)


async def list_environment_models() -> None:
    """Read the lists of the connections that wait for it, each DISCOVERY_SECONDS at most.

    A server that does not answer is asked again by the next call.
    """
    waiting = await in_thread(_waiting)()
    # The seconds that an import takes are not the server's.
    await asyncio.to_thread(load_providers, {endpoint.provider for _row, endpoint in waiting})
    await asyncio.gather(*(_list(row, endpoint) for row, endpoint in waiting))


def add_listed_models(
    connection: Connection, names: Iterable[str], *, actor: Actor = None
) -> list[ChatModel]:
    """A model for each name the server lists and the connection does not offer yet.

    System ones are open to everyone; those known not to be for chat are disabled. A name that is
    taken gets the provider in front.
    """
    theirs = ChatModel.objects.filter(owner=connection.owner_id)
    offered = set(theirs.filter(connection=connection).values_list("upstream_name", flat=True))
    taken = set(theirs.values_list("name", flat=True))
    models = []
    for name in names:
        free = name if name not in taken else f"{connection.provider}/{name}"
        if name in offered or free in taken:
            continue
        taken.add(free)
        models.append(_listed_model(connection, name=free, upstream_name=name))
    if not models:
        return []
    with write_transaction():
        # One entry for a list that may hold hundreds.
        listed = [model.name for model in models] if connection.owner_id is None else []
        audit.record(
            AuditAction.MODEL_CREATED,
            actor=actor,
            target=connection_target(connection),
            after={"models": listed, "count": len(models)},
        )
        return ChatModel.objects.bulk_create(models, batch_size=100, ignore_conflicts=True)


def discover(connection: Connection, *, actor: Actor) -> tuple[ConnectionCheck, list[ChatModel]]:
    """Ask the server what it offers and add what is missing; how the asking went, what was added.

    Raises PermissionDenied and RateLimited.
    """
    if connection.owner_id is None:
        check_system(actor, ChatModel, "add")
    outcome = check_connection(connection, actor=actor)
    return outcome, add_listed_models(connection, outcome.models, actor=actor)


def _listed_model(connection: Connection, *, name: str, upstream_name: str) -> ChatModel:
    known = lookup(upstream_name)
    return ChatModel(
        connection=connection,
        owner_id=connection.owner_id,
        name=name,
        upstream_name=upstream_name,
        enabled=known is None or known.chat,
        everyone=connection.owner_id is None,
        **known_fields(upstream_name),
    )


def _sync(provider: str, *, api_key: str, base_url: str) -> None:
    with write_transaction():
        row, made = EnvironmentProvider.objects.select_related("connection").get_or_create(
            provider=provider
        )
        if made:
            row.connection = create_connection(
                None,
                scope=SYSTEM,
                provider=provider,
                name=str(Connection.Provider(provider).label),
                api_key=api_key,
                base_url=base_url,
                resolve=False,
            )
            row.save(update_fields=["connection"])
        elif row.connection is not None:
            _follow(row, row.connection, api_key=api_key, base_url=base_url)


def _follow(
    row: EnvironmentProvider, connection: Connection, *, api_key: str, base_url: str
) -> None:
    base_url = base_url.rstrip("/") or VENDORS[connection.provider].base_url
    moved = base_url != connection.base_url
    stored = _endpoint(connection)
    if not moved and stored is not None and stored.api_key == api_key:
        return
    change_connection(
        connection,
        actor=None,
        changes={"base_url": base_url, "api_key": api_key},
        resolve=False,
    )
    if moved:
        row.listed_at = None
        row.save(update_fields=["listed_at"])


def _endpoint(connection: Connection) -> Endpoint | None:
    try:
        return endpoint_of(connection, None)
    except Undecryptable:
        return None


def _waiting() -> list[tuple[EnvironmentProvider, Endpoint]]:
    rows = EnvironmentProvider.objects.filter(listed_at=None, connection__enabled=True)
    waiting = []
    for row in rows.select_related("connection"):
        endpoint = _endpoint(row.connection) if row.connection is not None else None
        if endpoint is not None:
            waiting.append((row, endpoint))
    return waiting


async def _list(row: EnvironmentProvider, endpoint: Endpoint) -> None:
    try:
        async with asyncio.timeout(settings.DISCOVERY_SECONDS):
            names = await provider_at(endpoint).list_models()
    except (ProviderError, TimeoutError) as exc:
        reason = str(exc) or ProviderTimeout.title
        logger.warning("The models of %s could not be listed yet: %s", row.provider, reason)
        return
    await in_thread(_store)(row, names)


def _store(row: EnvironmentProvider, names: list[str]) -> None:
    with write_transaction():
        # Of two processes that listed at once, one stores.
        mine = EnvironmentProvider.objects.filter(
            pk=row.pk, listed_at=None, connection=row.connection
        ).update(listed_at=timezone.now())
        if mine and row.connection is not None:
            models = add_listed_models(row.connection, names)
            logger.info("%s offers %d models.", row.provider, len(models))
