"""Do the code and the database belong together? (F18)

While one version takes over from another both run on one database: the new one has migrated it,
and the old one finds migrations that it does not know. It goes on, for a migration only adds;
one that takes something away says so by its name, which ends in `_breaking`.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

logger = logging.getLogger(__name__)

BREAKING = "_breaking"

OK, BEHIND, AHEAD = "ok", "schema_behind", "schema_ahead"

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """`missing`: migrations that the database lacks. `unknown`: those that the code lacks."""

    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.missing:
            return BEHIND
        return AHEAD if any(name.endswith(BREAKING) for name in self.unknown) else OK


def state() -> State:
    """One query, which tells as well whether the database answers."""
    found = MigrationRecorder.Migration.objects.using(connection.alias)
    applied = frozenset(found.values_list("app", "name"))
    compared = compare(applied, of_the_code())
    if compared != _last_told():
        _tell(compared)
    return compared


def is_behind() -> bool:
    """Does the database lack migrations, perhaps all of them? Two queries."""
    applied = frozenset(MigrationRecorder(connection).applied_migrations())
    return compare(applied, of_the_code()).verdict == BEHIND


def compare(applied: frozenset[Name], code: frozenset[Name]) -> State:
    return State(missing=_named(code - applied), unknown=_named(applied - code))


@functools.cache
def of_the_code() -> frozenset[Name]:
    disk = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    return frozenset(disk or {})


def _named(names: frozenset[Name]) -> tuple[str, ...]:
    return tuple(sorted(f"{app}.{name}" for app, name in names))


_told: list[State] = [State()]


def _last_told() -> State:
    return _told[0]


def _tell(found: State) -> None:
    """In the log, once for each change."""
    _told[0] = found
    if found.missing:
        logger.error(
            "The database lacks migrations: %s. Run manage.py migrate.", ", ".join(found.missing)
        )
    if found.unknown:
        level = logging.ERROR if found.verdict == AHEAD else logging.WARNING
        logger.log(
            level,
            "A newer Parley migrated the database: %s. Install that version here, too.",
            ", ".join(found.unknown),
        )
    if found == State():
        logger.info("Code and database belong together again.")
