"""What was read of a conversation, as the rows that are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from uuid_utils.compat import uuid7

from accounts.models import User
from chat.models import Conversation
from chat.services.imports.drafts import Draft, Imported
from chat.services.imports.trees import Placed

# What a file says of a message's place is worked out; the rest is stored as the draft has it.
_PLACE = {"key", "parent", "at", "position", "ended_position"}
_AS_DRAFTED = tuple(each.name for each in fields(Draft) if each.name not in _PLACE)
COLUMNS = (
    "id",
    "conversation",
    "parent",
    "created_at",
    "position",
    "ended_position",
    *_AS_DRAFTED,
)


Row = tuple[Any, ...]
_CONTENT, _REASONING, _CALLS, _SOURCES = map(
    COLUMNS.index, ("content", "reasoning", "tool_calls", "sources")
)


def drafted_conversation(
    user: User, found: Imported, tree: list[Placed], *, now: datetime
) -> Conversation:
    times = [each.draft.at for each in tree if each.draft.at]
    created_at = found.created_at or min(times, default=now)
    drafts = [each.draft for each in tree]
    last = max((each.ended_position or each.position for each in tree), default=0)
    return Conversation(
        id=uuid7(nanoseconds=int(created_at.timestamp()) * 10**9),  # lists sort by it
        owner=user,
        import_key=found.key,
        title=found.title,
        title_source=found.title_source,
        model=found.model,
        system_prompt=found.system_prompt,
        parameters=found.parameters,
        archived=found.archived,
        pinned=found.pinned,
        created_at=created_at,
        updated_at=found.updated_at or max(times, default=created_at),
        message_count=len(tree),
        tokens=sum((each.prompt_tokens or 0) + (each.completion_tokens or 0) for each in drafts),
        cost=sum(each.cost or 0 for each in drafts),
        last_position=last,
        titled_position=last,  # a title for each by a model would cost the deployment
    )


def _rows_of(conversation: Conversation, tree: list[Placed]) -> Iterator[Row]:
    ids: list[UUID] = []
    times: list[datetime] = []
    for each in tree:
        parent = each.parent
        ids.append(uuid7())
        before = conversation.created_at if parent is None else times[parent]
        times.append(each.draft.at or before)
        yield (
            ids[-1],
            conversation.pk,
            None if parent is None else ids[parent],
            times[-1],
            each.position,
            each.ended_position,
            *(getattr(each.draft, name) for name in _AS_DRAFTED),
        )


def batches_of(conversation: Conversation, tree: list[Placed]) -> Iterator[list[Row]]:
    """Its messages, so many at a time that nobody waits for long who wants to write, too (F7)."""
    batch: list[Row] = []
    room = settings.IMPORT_CHARACTERS_AT_ONCE
    for row in _rows_of(conversation, tree):
        size = _size(row)
        if batch and (len(batch) == settings.IMPORT_ROWS_AT_ONCE or size > room):
            yield batch
            batch, room = [], settings.IMPORT_CHARACTERS_AT_ONCE
        batch.append(row)
        room -= size
    if batch:
        yield batch


def _size(row: Row) -> int:
    lists = sum(len(str(each)) for name in (_CALLS, _SOURCES) for each in row[name])
    return len(row[_CONTENT]) + len(row[_REASONING]) + lists
