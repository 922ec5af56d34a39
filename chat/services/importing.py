"""Conversations from a file, stored for one person. A repeat adds nothing.

A long one is written batch by batch, so that others get to write in between. Until the last batch
is there it is `unfinished`, which nobody sees; of one that never gets there the purge drops what
there is.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import Error, IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat.models import Conversation, Message
from chat.models.conversations import ConversationQuerySet, MessageQuerySet
from chat.services.imports.drafts import Imported
from chat.services.imports.reading import read_file
from chat.services.imports.rows import COLUMNS, Row, batches_of, drafted_conversation
from chat.services.imports.trees import placed
from common import disk, purging
from common.db import release_connection, write_transaction
from common.errors import AppError, NotFound, RateLimited, Unavailable
from common.statements import insert_rows
from models_registry.services.routing import resolve_model

if TYPE_CHECKING:
    from accounts.services.callers import Caller

LEAVES_FIRST = "-position"
# Of the time after which the purge begins: what is being committed then, or was timed by a clock
# that is slow, must have been given up before.
_ALIVE = 0.9


@dataclass(slots=True)
class OneImported:
    """What came of one conversation of a file. `left_out`: messages that could not be placed."""

    id: UUID
    title: str
    added: bool
    messages: int = 0
    left_out: int = 0


@dataclass(slots=True)
class FileImported:
    """What came of a file, in its order."""

    outcomes: list[OneImported] = field(default_factory=list)

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


def import_file(caller: Caller, raw: bytes) -> FileImported:
    """Store what `raw` holds that this person does not have yet, all of it or, where the file is
    refused, nothing. Raises Invalid, PayloadTooLarge, RateLimited, Unavailable (no room)."""
    disk.check_room()
    release_connection()
    with _slot():
        found = read_file(raw)
        names: dict[str, str] = {}
        summary = FileImported()
        met: set[str] = set()
        while found:
            each = found.popleft()  # and its memory is free once it is stored
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


def _there(user: User, found: Imported) -> OneImported | None:
    """What this person has already: the very conversation, or what an earlier import made of it.

    Spares the work; that there are never two is `imported_once`.
    """
    mine = Conversation.objects.visible_to(user)
    there = mine.filter(import_key=found.key).first()
    if there is None and (own_id := _as_id(found.own_id)) is not None:
        there = mine.filter(pk=own_id).first()
    return OneImported(there.pk, there.title, added=False) if there else None


def _store(user: User, found: Imported) -> OneImported:
    tree = placed(found.messages, newest=found.newest)
    conversation = drafted_conversation(user, found, tree, now=timezone.now())
    try:
        _write(conversation, batches_of(conversation, tree))
    except IntegrityError as error:
        there = _there(user, found)
        if there is None:  # the person was erased meanwhile
            raise NotFound from error
        return there
    left_out = len(found.messages) - len(tree)
    return OneImported(
        conversation.pk, conversation.title, added=True, messages=len(tree), left_out=left_out
    )


def _write(conversation: Conversation, batches: Iterator[list[Row]]) -> None:
    """All of it or nothing. Raises IntegrityError where the same was imported meanwhile or the
    person was erased, NotFound where that happened between two batches, Unavailable where so much
    time went by between two that the purge may have taken the first ones."""
    batch = next(batches, [])
    following = next(batches, None)
    is_long = following is not None
    try:
        if is_long:
            with write_transaction():
                _begin(conversation)
        while following is not None:
            with write_transaction():
                _go_on(conversation)
                insert_rows(Message, COLUMNS, batch)
            batch, following = following, next(batches, None)
        with write_transaction():
            if is_long:
                _go_on(conversation)
            conversation.save(force_insert=not is_long, force_update=is_long)
            insert_rows(Message, COLUMNS, batch)
    except Exception:
        if is_long:
            with suppress(Error):  # the purge will
                _discard(conversation.pk)
        raise


def _begin(conversation: Conversation) -> None:
    """Nothing in it that any job would look for, were it not hidden: a process of an older version
    beside this one knows of no hidden ones (F18). The last save writes every column."""
    Conversation(
        id=conversation.pk,
        owner=conversation.owner,
        importing_at=timezone.now(),
        archived=True,
        title_indexed=True,
    ).save(force_insert=True)


def _go_on(conversation: Conversation) -> None:
    """Lock it and show that this import is alive. Once silent for too long it never is again: the
    purge drops its messages before it drops the conversation."""
    now = timezone.now()
    oldest = now - timedelta(seconds=settings.IMPORT_SILENT_SECONDS * _ALIVE)
    mine = Conversation.with_unfinished.filter(pk=conversation.pk, importing_at__gte=oldest)
    if mine.update(importing_at=now):
        return
    if not User.objects.filter(pk=conversation.owner_id).exists():
        raise NotFound
    raise Unavailable(_("The import stood still for too long. Try again."))


def _discard(conversation_id: UUID) -> None:
    mine = Conversation.with_unfinished.unfinished().filter(pk=conversation_id)
    purging.drop(partial(messages_of, mine), by=MessageQuerySet.erase, order=LEAVES_FIRST)
    purging.drop(lambda: mine)


def abandoned() -> ConversationQuerySet:
    """Conversations that no import goes on writing: it was killed."""
    before = timezone.now() - timedelta(seconds=settings.IMPORT_SILENT_SECONDS)
    return Conversation.with_unfinished.filter(importing_at__lt=before)


def messages_of(conversations: ConversationQuerySet) -> MessageQuerySet:
    """To be dropped LEAVES_FIRST: each stands before those that hang below it."""
    return Message.objects.filter(conversation__in=conversations)


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
