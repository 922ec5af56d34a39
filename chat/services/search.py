"""The search index: keeping up with what is written, and finding it."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from chat.models import Conversation, Message, SearchPiece
from common.db import write_transaction
from common.search import mark_of, pieces_of
from common.statements import Select, delete, insert_rows, update_returning

if TYPE_CHECKING:
    from accounts.models import User

logger = structlog.get_logger(__name__)

_REBUILD_ROWS = 1_000
_WORDS_AT_ONCE = 2_000
_COLUMNS = ("conversation", "message", "words")
_Piece = tuple[UUID, UUID | None, list[str]]
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
        logger.warning(
            "A search could not index what is new, and found what is old only. See to the disk of"
            " the database.",
            error=type(error).__name__,
        )
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
    waiting = list(due.values_list(*_Waiting._fields)[:limit])
    for each in waiting:
        _index_step(_Waiting(*each))
        if time.monotonic() >= ends_at:
            break
    return len(waiting)


class _Waiting(NamedTuple):
    """A conversation as it was when it was found to wait."""

    id: UUID
    title_indexed: bool
    indexed_position: int
    last_position: int


def _index_step(waiting: _Waiting) -> None:
    """Index the title and the next messages of a conversation, in a transaction of its own.

    Under the conversation's lock, so that nothing is indexed that is being changed or deleted. If
    it was indexed, or given another title, since it was found, that is left to the next look.
    """
    start = waiting.indexed_position
    end = min(start + settings.SEARCH_INDEX_MESSAGES, waiting.last_position)
    with write_transaction():
        conversation = update_returning(
            Conversation,
            where={
                "id": waiting.id,
                "title_indexed": waiting.title_indexed,
                "indexed_position": start,
                "importing_at": None,
            },
            changes={"title_indexed": True, "indexed_position": end},
        )
        if conversation is None:
            return
        if start == 0:  # from the beginning: whatever is there is of an older index
            delete(SearchPiece, where={"conversation": conversation.pk})
        elif not waiting.title_indexed:
            delete(SearchPiece, where={"conversation": conversation.pk, "message": None})
        if start == 0 or not waiting.title_indexed:
            _write(conversation, [(None, conversation.title)])
        texts = _written.rows(conversation=conversation.pk, start=start, end=end)
        _replace(conversation, [(message_id, text) for message_id, text in texts])


def _written_between(conversation: Any, start: Any, end: Any) -> QuerySet[Message, Any]:
    """Messages by the position of their end: each comes once, when nothing is added any more."""
    ended = Q(ended_position__gt=start, ended_position__lte=end)
    came_whole = Q(ended_position=None, position__gt=start, position__lte=end)
    rows = Message.objects.filter(ended | came_whole, conversation=conversation)
    return rows.ended().order_by("position").values_list("id", "content")


_written = Select("conversation", "start", "end", build=_written_between)


def reindex_message(conversation: Conversation, message: Message) -> None:
    """Part of a transaction that changed the text and holds the conversation's lock."""
    _replace(conversation, [(message.pk, message.content)])


def _replace(conversation: Conversation, texts: Sequence[tuple[UUID, str]]) -> None:
    for message_id, _text in texts:
        delete(SearchPiece, where={"message": message_id})
    _write(conversation, texts)


def _write(conversation: Conversation, texts: Iterable[tuple[UUID | None, str]]) -> None:
    """By and by: as words a long text takes twenty times as much memory."""
    mark = mark_of(conversation.owner_id)
    batch: list[_Piece] = []
    left = _WORDS_AT_ONCE
    for message_id, text in texts:
        for words in pieces_of(text):
            batch.append((conversation.pk, message_id, [mark, *words]))
            left -= len(words)
            if left <= 0:
                insert_rows(SearchPiece, _COLUMNS, batch)
                batch, left = [], _WORDS_AT_ONCE
    insert_rows(SearchPiece, _COLUMNS, batch)


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
