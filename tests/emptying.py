"""How a transactional test leaves the database: as the migrations made it.

Django's own way, `flush`, truncates every table, which takes PostgreSQL a second, makes all content
types and permissions anew, and loses what migrations seeded.
"""

from __future__ import annotations

import functools
import importlib
from types import SimpleNamespace

from django.apps import apps
from django.db import connections, transaction
from django.test import TransactionTestCase

GUARD = "accounts.migrations.0004_audit_append_only"
SEEDING = (
    "accounts.migrations.0002_roles",
    "models_registry.migrations.0002_offline_model",
    "quotas.migrations.0003_standard_plan",
    "quotas.migrations.0004_usage_permission",
)
# Written by Django after migrating, by nobody else.
KEPT = {"auth_permission", "django_content_type"}


@functools.cache
def _tables(alias: str) -> list[str]:
    connection = connections[alias]
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [connection.ops.quote_name(name) for name in names if name not in KEPT]


@functools.cache
def _filled(alias: str) -> str:
    """A question for the tables that hold a row: one is asked faster than forty are emptied."""
    return " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})"  # noqa: S608 our own tables
        for table in _tables(alias)
    )


def empty(test: TransactionTestCase) -> None:
    guard = importlib.import_module(GUARD)
    for alias in test.databases:
        unguarded = SimpleNamespace(connection=connections[alias])
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(_filled(alias))
            tables = [table for (table,) in cursor.fetchall()]
            # Else the audit trail would stay.
            if guarded := f'"{guard.TABLE}"' in tables:
                guard.unguard(apps, unguarded)
            # Foreign keys are checked at the commit: the order does not matter.
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608 names of our own tables
            if guarded:
                guard.guard(apps, unguarded)
    for name in SEEDING:
        importlib.import_module(name).seed(apps, None)
