from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from config.migrating import one_at_a_time


class Command(migrate.Command):
    """Django's, under the lock that a server's start takes (F18)."""

    def handle(self, *args: Any, **options: Any) -> Any:
        with one_at_a_time(connections[options["database"]]):
            return super().handle(*args, **options)
