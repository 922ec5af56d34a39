"""The search index: keeping up with what is written, and finding it."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from chat.models import Conversation, Message, SearchPiece
from common.db import write_transaction
from common.search import mark_of, pieces_of

if TYPE_CHECKING:
    from accounts.models import User

logger = structlog.get_logger(__name__)

_REBUILD_ROWS = 1_000
_WORDS_AT_ONCE = 2_000
# SQLite's word for it: a merge that changes fewer rows has nothing left to do.
_STILL_MERGING = 2


def search(conversations: QuerySet[Conversation], user: User, text: str) -> QuerySet[Conversation]:
    """Those among `conversations` whose title, or one of whose messages, holds `text`.

    What `user`, who owns them, has just written is indexed first, so that it is found at once;
    after an import as much of it as SEARCH_FRESH_SECONDS allow.
    """
    try:
        index_due(
            owner=user,
            limit=settings.SEARCH_FRESH_CONVERSATIONS,
            seconds=settings.SEARCH_FRESH_SECONDS,
        )
    except OperationalError as error:  # a full disk, say: what was indexed before is there (F8)
        logger.warning("search_not_fresh", error=type(error).__name__)
    found = SearchPiece.objects.found_by(user, text)
    return conversations.filter(pk__in=found.values("conversation_id"))


# -- keeping up --------------------------------------------------------------------------------
def index_waiting(*, seconds: float) -> int:
    """Index what waits for it, as long as `seconds` last; how many steps that were."""
    ends_at = time.monotonic() + seconds
    done = 0
    while time.monotonic() < ends_at:
        step = index_due(limit=settings.SEARCH_INDEX_CONVERSATIONS)
        done += step
        if not step:
            break
    return done


def index_due(*, limit: int, owner: User | None = None, seconds: float = math.inf) -> int:
    """One step of each of `limit` conversations that wait, how many there were.

    An owner's newest come first, and at least one of them, however few `seconds` there are.
    """
    due = Conversation.objects.due_for_search()
    if owner is not None:
        due = due.filter(owner=owner).order_by("-updated_at")
    ends_at = time.monotonic() + seconds
    ids = list(due.values_list("id", flat=True)[:limit])
    for conversation_id in ids:
        _index_step(conversation_id)
        if time.monotonic() >= ends_at:
            break
    return len(ids)


def _index_step(conversation_id: UUID) -> None:
    """Index the title and the next messages of a conversation, in a transaction of its own.

    Under the conversation's lock, so that nothing is indexed that is being changed or deleted.
    """
    with write_transaction():
        conversation = Conversation.objects.select_for_update().filter(pk=conversation_id).first()
        if conversation is None:
            return
        start = conversation.indexed_position
        end = min(start + settings.SEARCH_INDEX_MESSAGES, conversation.last_position)
        if start == 0:  # from the beginning: whatever is there is of an older index
            SearchPiece.objects.filter(conversation=conversation).delete()
        elif not conversation.title_indexed:
            SearchPiece.objects.filter(conversation=conversation, message=None).delete()
        if start == 0 or not conversation.title_indexed:
            _write(conversation, [(None, conversation.title)])
        _replace(conversation, _written_between(conversation, start, end))
        Conversation.objects.filter(pk=conversation.pk).update(
            indexed_position=end, title_indexed=True
        )


def _written_between(conversation: Conversation, start: int, end: int) -> QuerySet[Message]:
    """Messages by the position of their end: each comes once, when nothing is added any more."""
    ended = Q(ended_position__gt=start, ended_position__lte=end)
    came_whole = Q(ended_position=None, position__gt=start, position__lte=end)
    rows = Message.objects.filter(ended | came_whole, conversation=conversation)
    return rows.ended().only("id", "content").order_by("position")


def reindex_message(conversation: Conversation, message: Message) -> None:
    """Part of a transaction that changed the text and holds the conversation's lock."""
    _replace(conversation, [message])


def _replace(conversation: Conversation, messages: Iterable[Message]) -> None:
    texts = [(message.pk, message.content) for message in messages]
    if texts:
        forget_messages([message_id for message_id, _text in texts])
        _write(conversation, texts)


def _write(conversation: Conversation, texts: Iterable[tuple[UUID | None, str]]) -> None:
    """By and by: as words a long text takes twenty times as much memory."""
    mark = mark_of(conversation.owner_id)
    batch: list[SearchPiece] = []
    left = _WORDS_AT_ONCE
    for message_id, text in texts:
        for words in pieces_of(text):
            batch.append(
                SearchPiece(conversation=conversation, message_id=message_id, words=[mark, *words])
            )
            left -= len(words)
            if left <= 0:
                SearchPiece.objects.bulk_create(batch)
                batch, left = [], _WORDS_AT_ONCE
    SearchPiece.objects.bulk_create(batch)


def forget_messages(ids: Collection[UUID]) -> None:
    """Part of the transaction that deletes them or changes their text."""
    SearchPiece.objects.filter(message__in=ids).delete()


def forget_conversations(ids: Collection[UUID]) -> None:
    """Part of the transaction that deletes them."""
    SearchPiece.objects.filter(conversation__in=ids).delete()


def forget_deleted_words() -> None:
    """Have SQLite's index give up the words of texts that were deleted (G4).

    It keeps them, and a mark that they are gone, until it happens to merge the two. Merged in
    small steps, so that nobody else waits to write. PostgreSQL has them in the rows themselves.
    """
    if connection.vendor != "sqlite":
        return
    pages = -settings.SEARCH_MERGE_PAGES  # below zero: begin to merge all there is
    while _merge(pages) >= _STILL_MERGING:
        pages = settings.SEARCH_MERGE_PAGES


def _merge(pages: int) -> int:
    """One step of SQLite's; how many rows of its own it wrote."""
    with write_transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT total_changes()")
        before = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO chat_searchpiece_fts(chat_searchpiece_fts, rank) VALUES ('merge', %s)",
            [pages],
        )
        cursor.execute("SELECT total_changes()")
        return int(cursor.fetchone()[0] - before)


# -- anew --------------------------------------------------------------------------------------
def rebuild() -> int:
    """Index everything anew, while what was indexed is still found; how many conversations."""
    if connection.vendor == "sqlite":
        with write_transaction(), connection.cursor() as cursor:
            index = "chat_searchpiece_fts"
            cursor.execute(f"INSERT INTO {index}({index}) VALUES ('rebuild')")  # noqa: S608
    count = 0
    last = UUID(int=0)
    while ids := _ids_after(last):
        Conversation.objects.filter(pk__in=ids).update(indexed_position=0, title_indexed=False)
        count, last = count + len(ids), ids[-1]
    while index_due(limit=settings.SEARCH_INDEX_CONVERSATIONS):
        pass
    live = Conversation.objects.filter(pk=OuterRef("conversation_id"))
    SearchPiece.objects.filter(~Exists(live)).delete()
    return count


def _ids_after(last: UUID) -> list[UUID]:
    rows = Conversation.objects.filter(pk__gt=last).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:_REBUILD_ROWS])
