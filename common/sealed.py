"""Which columns hold secrets, and how they come under the first of ENCRYPTION_KEYS (K6).

Nothing is noted of how far a rotation came: what is left to do is what a later key still seals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model, QuerySet

from common.crypto import Undecryptable, decrypt, encrypt, first_key_prefix
from common.db import write_transaction

_ROWS_AT_ONCE = 200

Rows = QuerySet[Any, Any]


@dataclass(frozen=True, slots=True)
class SealedField:
    """A text column of sealed secrets. `context` is what a row's secret is bound to."""

    model: type[Model]
    name: str
    context: Callable[[Any], str]

    def __str__(self) -> str:
        return f"{self.model._meta.label_lower}.{self.name}"  # noqa: SLF001 documented

    def rows(self) -> Rows:
        """Those that hold a secret."""
        return self.model._base_manager.filter(**{f"{self.name}__gt": ""})  # noqa: SLF001

    def stale(self) -> Rows:
        """Those that another key than the first sealed."""
        return self.rows().exclude(**{f"{self.name}__startswith": first_key_prefix()})


@dataclass(slots=True)
class Rotation:
    """How it stands with one column. `unreadable` are the ids of rows that no key opens."""

    secrets: str
    rows: int = 0
    rotated: int = 0
    remaining: int = 0
    unreadable: list[str] = field(default_factory=list)


_registered: list[SealedField] = []


def register(model: type[Model], name: str, *, context: Callable[[Any], str]) -> None:
    """Have the secrets of this column follow the keys."""
    _registered.append(SealedField(model, name, context))


def rotate(*, dry_run: bool = False) -> Iterator[Rotation]:
    """Seal everything anew under the first key, row by row; turns and changes go on meanwhile."""
    for column in _registered:
        done = Rotation(str(column))
        for row in _by_and_by(column.stale()):
            _rotate_row(column, row, done, dry_run=dry_run)
        done.rows, done.remaining = column.rows().count(), column.stale().count()
        yield done


def _rotate_row(column: SealedField, row: Any, done: Rotation, *, dry_run: bool) -> None:
    sealed, context = getattr(row, column.name), column.context(row)
    try:
        secret = decrypt(sealed, context=context)
    except Undecryptable:
        done.unreadable.append(str(row.pk))
        return
    if dry_run:
        return
    # Somebody may have entered another secret meanwhile: then that one stays.
    same = column.model._base_manager.filter(pk=row.pk, **{column.name: sealed})  # noqa: SLF001
    with write_transaction():
        done.rotated += same.update(**{column.name: encrypt(secret, context=context)})


def _by_and_by(rows: Rows) -> Iterator[Any]:
    """Each row once, in batches: what cannot be rotated stays among them."""
    ordered = rows.order_by("pk")
    batch = list(ordered[:_ROWS_AT_ONCE])
    while batch:
        yield from batch
        batch = list(ordered.filter(pk__gt=batch[-1].pk)[:_ROWS_AT_ONCE])
