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
SEEDING = ("accounts.migrations.0002_roles", "models_registry.migrations.0002_offline_model")
# Written by Django after migrating, by nobody else.
KEPT = {"auth_permission", "django_content_type"}


@functools.cache
def _tables(alias: str) -> list[str]:
    connection = connections[alias]
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [connection.ops.quote_name(name) for name in names if name not in KEPT]


def empty(test: TransactionTestCase) -> None:
    guard = importlib.import_module(GUARD)
    for alias in test.databases:
        # Else the audit trail would stay.
        unguarded = SimpleNamespace(connection=connections[alias])
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            guard.unguard(apps, unguarded)
            # Foreign keys are checked at the commit: the order does not matter.
            for table in _tables(alias):
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608 names of our own tables
            guard.guard(apps, unguarded)
    for name in SEEDING:
        importlib.import_module(name).seed(apps, None)
