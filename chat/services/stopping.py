"""Stopping a turn. It is a request: the owner closes the provider and writes the end.

An owner that does not is not there; then whoever asked for the stop ends the turn (`ending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditAction, TargetKind
from accounts.services import audit
from chat.models import Conversation, Message, Turn
from chat.streams.events import TurnRef
from chat.streams.hub import hub
from chat.streams.reading import end_of
from chat.turns.closing import close_turn, ref_of
from chat.turns.routes import may_use
from chat.turns.runner import runner
from common.db import in_thread, write_transaction
from common.errors import NotFound

if TYPE_CHECKING:
    from accounts.models import User
    from accounts.services.callers import Caller

_ending: set[asyncio.Task[None]] = set()


def request_stop(caller: Caller, message_id: UUID) -> TurnRef | None:
    """Ask for the end of the turn that writes this message; None when there is none to end."""
    visible = Conversation.objects.visible_to(caller.user)
    if not Message.objects.filter(pk=message_id, conversation__in=visible).exists():
        raise NotFound()
    turn = Turn.objects.running().filter(message_id=message_id).first()
    if turn is None:
        return None
    stop_turn(turn, reason=Turn.StopReason.PERSON)
    return ref_of(turn)


def stop_for_owner(turn: Turn, *, actor: User | None) -> None:
    """What an operator does, and the audit trail keeps once. `actor` None is the command line."""
    with write_transaction():
        if stop_turn(turn, reason=Turn.StopReason.PERSON):
            audit.record(
                AuditAction.TURN_STOPPED,
                actor=actor,
                target=audit.Target(TargetKind.TURN, turn.pk),
                after={"owner": turn.user_id, "conversation": turn.conversation_id},
            )


def stop_turn(turn: Turn, *, reason: str) -> bool:
    """Mark the turn and nudge its owner, who reads the mark within a second anyway. False where it
    has ended, or was marked before."""
    with write_transaction():
        unmarked = Turn.objects.running().filter(pk=turn.pk, stop_requested_at=None)
        marked = unmarked.update(stop_requested_at=timezone.now(), stop_reason=reason)
        transaction.on_commit(lambda: _nudge(turn, reason))
    return bool(marked)


def stop_turns_of(model_ids: Collection[UUID]) -> None:
    """Stop what these models answer, asked for or as fallbacks: they were removed (A8)."""
    # Running turns are few, and SQLite does not look into JSON for us.
    for turn in Turn.objects.running().defer("text", "reasoning"):
        if may_use(turn, model_ids):
            stop_turn(turn, reason=Turn.StopReason.PERSON)


def _nudge(turn: Turn, reason: str) -> None:
    if runner.stop(turn.pk, reason):
        return
    if hub.mirror is not None:
        runner.submit(hub.mirror.writer.request_stop(turn.owner, turn.pk))


# -- seeing it to its end ----------------------------------------------------------------------
def ending(turn: TurnRef) -> asyncio.Task[None]:
    """See a turn that was asked to stop to its end, whether or not anybody waits for that."""
    task = asyncio.create_task(_see_to_the_end(turn))
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    return task


async def _see_to_the_end(turn: TurnRef) -> None:
    if not await _ends_in_time(turn):
        await in_thread(close_stopped)(turn.turn_id)
        await _ends_in_time(turn)


async def _ends_in_time(turn: TurnRef) -> bool:
    try:
        async with asyncio.timeout(settings.STOP_WAIT_SECONDS):
            await end_of(turn)
    except TimeoutError:
        return False
    return True


def close_stopped(turn_id: UUID) -> None:
    """End a turn whose owner did not obey. Any thread; does not wait."""
    runner.submit(close_turn(turn_id, status=Turn.Status.STOPPED))
