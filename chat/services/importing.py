"""Conversations from a file, stored for one person. A repeat adds nothing."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone
from uuid_utils.compat import uuid7

from chat.models import Conversation, Message
from chat.services.imports.drafts import Imported
from chat.services.imports.reading import ImportFile
from chat.services.imports.trees import Placed, placed
from common import disk
from common.db import release_connection, write_transaction
from common.errors import AppError, NotFound, RateLimited
from common.statements import insert_rows
from models_registry.services.routing import resolve_model

if TYPE_CHECKING:
    from accounts.models import User
    from accounts.services.callers import Caller

# Columns that are stored as the draft has them.
_AS_DRAFTED = (
    "role",
    "content",
    "reasoning",
    "status",
    "model",
    "fallback",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "usage_estimated",
    "seconds",
    "context",
    "error_code",
    "error_detail",
    "edited_at",
    "rating",
    "comment",
    "tool_calls",
    "sources",
)
_COLUMNS = (
    "id",
    "conversation",
    "parent",
    "created_at",
    "position",
    "ended_position",
    *_AS_DRAFTED,
)


@dataclass(slots=True)
class Outcome:
    """What came of one conversation of a file. `left_out`: messages that could not be placed."""

    id: UUID
    title: str
    added: bool
    messages: int = 0
    left_out: int = 0


@dataclass(slots=True)
class Summary:
    """What came of a file, in its order."""

    outcomes: list[Outcome] = field(default_factory=list)

    def as_fields(self) -> dict[str, Any]:
        added = [each for each in self.outcomes if each.added]
        return {
            "added": len(added),
            "already_there": len(self.outcomes) - len(added),
            "messages": sum(each.messages for each in added),
            "left_out": sum(each.left_out for each in added),
            "conversations": [
                {"id": each.id, "title": each.title, "added": each.added} for each in self.outcomes
            ],
        }


def import_file(caller: Caller, raw: bytes) -> Summary:
    """Store what `raw` holds that this person does not have yet, all of it or, where the file is
    refused, nothing. Raises Invalid, PayloadTooLarge, RateLimited, Unavailable (no room)."""
    disk.check_room()
    release_connection()
    with _slot():
        found = ImportFile(raw)
        names: dict[str, str] = {}
        summary = Summary()
        met: set[str] = set()
        for each in found:
            if each.key in met:  # the same one twice in a file: the first counts
                continue
            met.add(each.key)
            each.model = _usable(caller.user, each.model, names)
            summary.outcomes.append(_there(caller.user, each) or _store(caller.user, each))
    return summary


@functools.cache
def _slots(number: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(number)


@contextmanager
def _slot() -> Iterator[None]:
    """One of the few places: a large file takes seconds of a processor, and its memory."""
    slots = _slots(settings.IMPORTS_AT_ONCE)
    if not slots.acquire(timeout=settings.IMPORT_WAIT_SECONDS):
        raise RateLimited(retry_after=settings.IMPORT_WAIT_SECONDS)
    try:
        yield
    finally:
        slots.release()


def _usable(user: User, name: str, known: dict[str, str]) -> str:
    """The name of a model that this person may use here, else "": the deployment's own choice."""
    if name and name not in known:
        try:
            known[name] = resolve_model(user, name).name
        except AppError:
            known[name] = ""
    return known.get(name, "")


def _there(user: User, found: Imported) -> Outcome | None:
    """What this person has already: the very conversation, or what an earlier import made of it.

    Spares the work; that there are never two is `imported_once`.
    """
    mine = Conversation.objects.visible_to(user)
    there = mine.filter(import_key=found.key).first()
    if there is None and (own_id := _as_id(found.own_id)) is not None:
        there = mine.filter(pk=own_id).first()
    return Outcome(there.pk, there.title, added=False) if there else None


def _store(user: User, found: Imported) -> Outcome:
    tree = placed(found.messages, newest=found.newest)
    now = timezone.now()
    conversation = _conversation(user, found, tree, now=now)
    rows = _rows(conversation, tree, now=conversation.created_at)
    try:
        with write_transaction():
            conversation.save(force_insert=True)
            insert_rows(Message, _COLUMNS, rows)
    except IntegrityError as error:
        there = _there(user, found)
        if there is None:  # the person was erased meanwhile
            raise NotFound from error
        return there
    left_out = len(found.messages) - len(tree)
    return Outcome(
        conversation.pk, conversation.title, added=True, messages=len(tree), left_out=left_out
    )


def _conversation(
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


def _rows(
    conversation: Conversation, tree: list[Placed], *, now: datetime
) -> list[tuple[Any, ...]]:
    ids: list[UUID] = []
    rows: list[tuple[Any, ...]] = []
    times: list[datetime] = []
    for each in tree:
        parent = each.parent
        ids.append(uuid7())
        times.append(each.draft.at or (now if parent is None else times[parent]))
        rows.append(
            (
                ids[-1],
                conversation.pk,
                None if parent is None else ids[parent],
                times[-1],
                each.position,
                each.ended_position,
                *(getattr(each.draft, name) for name in _AS_DRAFTED),
            )
        )
    return rows


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
