"""Who may change what: one's own, and the deployment's with Django's permissions.

Reading another's is no question here: `manageable_by` decides what exists for a person.
"""

from __future__ import annotations

from typing import TypeAlias

from accounts.models import User
from common.errors import PermissionDenied
from models_registry.models import ChatModel, Connection

Actor: TypeAlias = User | None
"""Who changes something; None is the deployment itself: its start, its command line."""


def is_staff(actor: Actor) -> bool:
    """Whether this person sets up the deployment: addresses that they set may be private."""
    return actor is None or actor.has_perm("models_registry.change_connection")


def check_system(actor: Actor, kind: type[Connection | ChatModel], action: str) -> None:
    """Raise PermissionDenied unless `actor` may `add`, `change` or `delete` the deployment's."""
    if actor is not None and not actor.has_perm(
        f"models_registry.{action}_{kind.__name__.lower()}"
    ):
        raise PermissionDenied


def check_may(actor: Actor, row: Connection | ChatModel, action: str) -> None:
    """Raise PermissionDenied unless `actor` may change or delete this row."""
    if actor is not None and row.owner_id is not None and row.owner_id != actor.pk:
        raise PermissionDenied
    if row.owner_id is None:
        check_system(actor, type(row), action)
