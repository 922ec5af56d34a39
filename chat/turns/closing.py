"""Ending a turn from outside its owner: after its death, a deletion, or when it does not answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from chat.models import Turn
from chat.streams.events import TurnRef
from chat.streams.hub import hub
from chat.streams.log import TurnLog
from chat.streams.stored import gone
from chat.turns.finish import Ended, Ending, finish_turn
from chat.turns.routes import route_of
from common.db import in_thread

if TYPE_CHECKING:
    from uuid import UUID

    from common.errors import AppError


def ref_of(turn: Turn) -> TurnRef:
    return TurnRef(turn.id, turn.message_id or turn.id, turn.conversation_id, turn.user_id)


async def close_turn(turn_id: UUID, *, status: str, error: AppError | None = None) -> bool:
    """End a running turn for its owner, with all text that can be found; False if it had ended.

    Runs on the runner's loop. The text comes from the owner's log if it is here, else from Redis
    if it has more than the checkpoint.
    """
    turn = await in_thread(_running)(turn_id)
    if turn is None:
        return False
    log = TurnLog(ref_of(turn))
    own = hub.own.get(turn_id)
    if own is not None:
        log.replace(own.last_seq, own.content, own.reasoning)
    elif hub.mirror is not None:
        await hub.mirror.reader.load(log)
    if log.last_seq < turn.last_seq:
        log.replace(turn.last_seq, turn.text, turn.reasoning)
    if own is None:
        # The owner's own readers may have seen more than it saved: they get what was saved as a
        # snapshot, under a number that none of them has seen, then the end.
        log.replace(log.last_seq + settings.TURN_LOG_UNSEEN, log.content, log.reasoning)
    ended = await in_thread(_finish)(turn, log, status, error)
    if ended is None:
        return False
    hub.end_elsewhere(log.ref, ended.event, whole=log)
    return True


def forget_turns(turns: list[Turn]) -> list[TurnRef]:
    """End running turns whose conversation is being deleted: `stopped`, settled by estimate.

    Part of the deleting transaction; call `tell_gone` with the answer after it.
    """
    ended = []
    for turn in turns:
        log = TurnLog(ref_of(turn))
        log.replace(turn.last_seq, turn.text, turn.reasoning)
        if _finish(turn, log, Turn.Status.STOPPED, None) is not None:
            ended.append(log.ref)
    return ended


def tell_gone(refs: list[TurnRef]) -> None:
    """Tell the readers of deleted turns; the owner finds the row ended at its next checkpoint."""
    if hub.loop is None:
        return
    for ref in refs:
        end = partial(gone, ref.message_id)
        hub.loop.call_soon_threadsafe(hub.end_elsewhere, ref, end)


def _running(turn_id: UUID) -> Turn | None:
    return Turn.objects.running().filter(pk=turn_id).first()


def _finish(turn: Turn, log: TurnLog, status: str, error: AppError | None) -> Ended | None:
    route = route_of(turn)
    answered = turn.answering is not None or bool(log.content or log.reasoning)
    return finish_turn(
        Ending(
            ref=log.ref,
            purpose=turn.purpose,
            status=status,
            content=log.content,
            reasoning=log.reasoning,
            last_seq=max(log.last_seq, 0),
            epoch=turn.epoch,
            model=turn.model,
            encoding=route.encoding,
            prices=route.prices,
            prompt_estimate=turn.prompt_estimate,
            started_at=turn.created_at,
            seconds=max(0.0, (timezone.now() - turn.created_at).total_seconds()),
            error=error,
            answered_by=route.name if answered else "",
            fallback=bool(turn.answering),
            keeps_answer=turn.message_id is None,
            characters=turn.characters,
            language=turn.language,
        )
    )
