"""A turn as the database knows it, for readers who come when its log is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils.translation import gettext as _

from chat.models import IdempotencyRecord, Message, Turn
from chat.streams import events
from common.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat.streams.events import Event, TurnRef
    from chat.streams.log import TurnLog


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """The checkpoint of a running turn, or the end of one that has ended.

    `end` makes the end event with the number after the last one that a log has: a reader may have
    seen more than whoever ended the turn could find.
    """

    last_seq: int
    content: str
    reasoning: str
    start: Event
    end: Callable[[int], Event] | None


def stored_turn(ref: TurnRef) -> StoredTurn | None:
    """What is stored of the turn, or None when it, its message or its person is gone."""
    turn = Turn.objects.select_related("message").filter(pk=ref.turn_id).first()
    if turn is None or (ref.conversation_id and turn.message is None):
        return None
    if ref.user_id and turn.user_id is None:
        return None
    message = turn.message
    if turn.status == Turn.Status.RUNNING:
        content, reasoning = turn.text, turn.reasoning
        end = None
    elif message is not None:
        content, reasoning = message.content, message.reasoning
        end = _end_of(turn, events.message_fields(message, siblings=siblings(message)))
    else:
        answer = _kept_answer(turn)
        content, reasoning = answer.get("content", ""), answer.get("reasoning", "")
        end = _end_of(turn, answer)
    return StoredTurn(
        last_seq=turn.last_seq,
        content=content,
        reasoning=reasoning,
        start=_start_of(ref, turn, message),
        end=end,
    )


def gone(message_id: UUID, seq: int) -> Event:
    """The end of a turn whose message was deleted, alone or with all that its person had here."""
    told = events.error(message_id, seq, NotFound.code, str(_("The message was deleted.")))
    return told._replace(forgets=True)


def moved_on(seen: dict[TurnRef, int]) -> list[TurnRef]:
    """Those turns that ended, are gone, or whose checkpoint is past the position in `seen`.

    With Redis a log is ahead of the checkpoint; one that is behind it is not being delivered.
    """
    rows = Turn.objects.filter(pk__in=[ref.turn_id for ref in seen])
    states = {
        turn_id: (status == Turn.Status.RUNNING, last_seq)
        for turn_id, status, last_seq in rows.values_list("id", "status", "last_seq")
    }
    missing = (False, 0)
    moved = []
    for ref, position in seen.items():
        running, last_seq = states.get(ref.turn_id, missing)
        if not running or last_seq > position:
            moved.append(ref)
    return moved


def _end_of(turn: Turn, message: dict[str, Any]) -> Callable[[int], Event]:
    """`message` is the whole answer as API.md shows it."""
    message_id = turn.message_id or turn.id

    def end(seq: int) -> Event:
        if turn.status == Turn.Status.FAILED:
            return events.error(message_id, seq, turn.error_code, turn.error_detail)
        return events.complete(message_id, seq, message)

    return end


def siblings(message: Message) -> list[UUID]:
    """Ids of all messages with the same parent and role, its own included, oldest first."""
    return Message.objects.siblings(message.conversation_id, message.parent_id, message.role)


def _start_of(ref: TurnRef, turn: Turn, message: Message | None) -> Event:
    parent = message.parent if message else None
    user_message = events.message_fields(parent, siblings=siblings(parent)) if parent else None
    return events.start(ref, user_message=user_message, model=turn.model)


def _kept_answer(turn: Turn) -> dict[str, Any]:
    record = IdempotencyRecord.objects.filter(turn=turn).only("answer").first()
    return (record and record.answer) or {}


def fill(log: TurnLog, stored: StoredTurn | None) -> None:
    """Bring `log` up to what is stored, if that is further than what it has."""
    if log.ended:
        return
    if stored is None:
        log.finish(gone(log.ref.message_id, log.last_seq + 1))
        return
    if log.start is None:
        log.begin(stored.start)
    if stored.last_seq > log.last_seq:
        log.replace(stored.last_seq, stored.content, stored.reasoning)
    if stored.end is not None:
        log.finish(stored.end(log.last_seq + 1))
