"""The tree of messages: which path a message ends, without storing it anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from chat.models import Message
from common.errors import Invalid
from common.statements import Select

if TYPE_CHECKING:
    from collections.abc import Sequence

# Most conversations are shorter: their whole context then is one query.
_WINDOW = 200
_CHUNK = 100


class Link(NamedTuple):
    """One message as a step of a path."""

    id: UUID
    parent_id: UUID | None
    role: str


class Loaded(NamedTuple):
    """One message with what a model needs of it."""

    id: UUID
    parent_id: UUID | None
    role: str
    content: str


_newest = Select(
    "conversation",
    build=lambda conversation: (
        Message.objects.filter(conversation=conversation)
        .order_by("-position")
        .values_list(*Loaded._fields)[:_WINDOW]
    ),
)


def links(conversation_id: UUID) -> dict[UUID, Link]:
    """Every message of a conversation, by id, oldest first, in one query."""
    rows = Message.objects.filter(conversation_id=conversation_id).order_by("position")
    return {row[0]: Link(*row) for row in rows.values_list("id", "parent_id", "role")}


def path(tree: dict[UUID, Link], leaf: UUID | None) -> list[UUID]:
    """Ids from `leaf` up to its root."""
    ids: list[UUID] = []
    while leaf is not None and leaf in tree:
        ids.append(leaf)
        leaf = tree[leaf].parent_id
    return ids


def newest(conversation_id: UUID) -> list[Loaded]:
    """The newest messages of a conversation, newest first."""
    return [Loaded(*row) for row in _newest.rows(conversation=conversation_id)]


def siblings(
    conversation_id: UUID, parent_id: UUID | None, role: str, recent: Sequence[Loaded]
) -> list[UUID]:
    """Ids of the messages with this parent and role, oldest first."""
    if len(recent) < _WINDOW:
        same = [each.id for each in recent if (each.parent_id, each.role) == (parent_id, role)]
        return same[::-1]
    return Message.objects.siblings(conversation_id, parent_id, role)


def history(
    conversation_id: UUID, leaf: UUID | None, recent: Sequence[Loaded]
) -> tuple[list[UUID], Iterator[Loaded]]:
    """The ids of the path to `leaf`, newest first, and the messages themselves.

    `recent` is what `newest` gave. Contents beyond it are loaded as they are asked for. Raises
    Invalid where the path has `MESSAGE_CHAIN` messages: it is read, but grows no further.
    """
    by_id = {each.id: each for each in recent}
    found: list[Loaded] = []
    step = leaf
    while step is not None and step in by_id:
        found.append(by_id[step])
        step = by_id[step].parent_id
    if step is None or len(recent) < _WINDOW:
        return [each.id for each in found], iter(found)
    ids = path(links(conversation_id), leaf)
    if len(ids) >= settings.MESSAGE_CHAIN:
        raise Invalid.field("parent_id", _("This branch is too long."))
    return ids, load(ids)


def load(ids: list[UUID]) -> Iterator[Loaded]:
    """The messages with these ids, in their order, as they are asked for."""
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        rows = Message.objects.filter(pk__in=chunk).values_list(*Loaded._fields)
        by_id = {row[0]: Loaded(*row) for row in rows}
        yield from (by_id[each] for each in chunk if each in by_id)
