"""What has to be there before the first question, and the sentence for what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _
from psycopg_pool import PoolTimeout

from accounts.models import User
from common.errors import Unavailable
from models_registry.models import ChatModel, Connection
from models_registry.providers.factory import close_providers
from models_registry.services.discovery import (
    list_environment_models,
    sync_environment_connections,
)
from models_registry.services.models import ensure_offline_model

DATABASE_ERRORS = (DatabaseError, InterfaceError, PoolTimeout)


@contextmanager
def database_told_plainly() -> Iterator[None]:
    """Whatever the database cannot do becomes Unavailable with what to do about it."""
    try:
        yield
    except DATABASE_ERRORS as exc:
        if (reason := what_is_wrong(exc)) is None:
            raise
        raise Unavailable(reason) from exc


def what_is_wrong(failure: BaseException) -> str | None:
    """Why the database failed, where that can be told.

    Asked only after something failed: looking for migrations costs every start dearly.
    """
    away = _("The database cannot be reached. Check DATABASE_URL.")
    if isinstance(failure, PoolTimeout) or isinstance(failure.__cause__, PoolTimeout):
        return away  # it has been waited for long enough
    try:
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
        if User._meta.db_table not in tables:  # noqa: SLF001 a documented API of Django
            return _("The database is not set up. Run `make run` once, or: manage.py migrate")
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return _("The database is older than this program. Run: manage.py migrate")
    except DATABASE_ERRORS:
        return away
    return None


def furnish() -> None:
    """Have the built-in model, and what the environment names if no server has looked yet."""
    ensure_offline_model()
    named = any(any(given.values()) for given in settings.PROVIDERS_FROM_ENVIRONMENT.values())
    if named and not _has_real_model():
        sync_environment_connections()
        asyncio.run(_list_models())


async def _list_models() -> None:
    try:
        await list_environment_models()
    finally:
        await close_providers()


def _has_real_model() -> bool:
    built_in = Connection.Provider.OFFLINE
    return ChatModel.objects.filter(owner=None).exclude(connection__provider=built_in).exists()
