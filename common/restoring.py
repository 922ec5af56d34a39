"""What must not live again when a backup does (F19). Each app says it of its own tables.

A backup is older than what happened since: who was signed out, which link was used. So some rows
are never in one, and the rest of what lets people in is ended before anyone sees the database.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Model

from common.db import write_transaction

_left_out: list[type[Model]] = []
_endings: list[Callable[[], object]] = []


def leave_out(*models: type[Model]) -> None:
    """The rows of these tables go into no backup."""
    _left_out.extend(models)


def left_out_tables() -> list[str]:
    return [model._meta.db_table for model in _left_out]  # noqa: SLF001 documented


def end_at_restore(act: Callable[[], object]) -> None:
    """Have `act` done to a restored database, in one transaction with all the others."""
    _endings.append(act)


def begin_epoch() -> None:
    """Nobody is signed in any more, whatever the backup says."""
    with write_transaction():
        for act in _endings:
            act()
