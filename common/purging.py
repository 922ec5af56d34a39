"""What ages is dropped (G5). Each app registers the rows that are its own; one job drops them all.

By and by: one long transaction would keep everybody else from writing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from common.db import write_transaction

Rows = QuerySet[Any, Any]


def delete(rows: Rows) -> None:
    rows.delete()


@dataclass(frozen=True, slots=True)
class Ageing:
    """Rows that have run out. `by` is for those that a plain DELETE may not touch, `order` for
    those of which one may not go before another."""

    name: str
    rows: Callable[[], Rows]
    by: Callable[[Any], None] = delete
    order: str = "pk"


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows of a kind were dropped, or would be."""

    what: str
    rows: int


_registered: dict[str, Ageing] = {}


def register(
    name: str,
    rows: Callable[[], Rows],
    *,
    by: Callable[[Any], None] = delete,
    order: str = "pk",
) -> None:
    """Have `rows()`, whatever they are at that time, dropped under this name."""
    _registered[name] = Ageing(name, rows, by, order)


def purge() -> list[Purged]:
    """Drop everything that has run out. Safe at any time, and beside itself (T7)."""
    return [
        Purged(each.name, drop(each.rows, by=each.by, order=each.order))
        for each in _registered.values()
    ]


def count() -> list[Purged]:
    """What `purge` would drop now."""
    return [Purged(each.name, each.rows().count()) for each in _registered.values()]


def drop(rows: Callable[[], Rows], *, by: Callable[[Any], None] = delete, order: str = "pk") -> int:
    """Drop `rows()` batch by batch, each in a transaction of its own; how many they were."""
    dropped = 0
    while True:
        # Asked anew for each batch: a row may have been renewed, or dropped by another purge.
        ids = list(
            rows().order_by(order).values_list("pk", flat=True)[: settings.PURGE_ROWS_AT_ONCE]
        )
        if not ids:
            return dropped
        with write_transaction():
            by(rows().filter(pk__in=ids))
        dropped += len(ids)
