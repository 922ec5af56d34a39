"""A turn from its first step to its end. It belongs to the process, never to a connection."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog
from django.conf import settings

from chat.models import Turn
from chat.streams.hub import hub
from chat.streams.stored import fill, stored_turn
from chat.turns.attempts import provider_phase, settle_cut
from chat.turns.closing import close_turn
from chat.turns.finish import Ended, Ending, finish_turn
from chat.turns.in_flight import PhaseOutcome
from common import metrics
from common.db import in_thread
from common.errors import Internal, Unavailable
from common.problems import as_app_error

if TYPE_CHECKING:
    from chat.turns.in_flight import RunningTurn

logger = structlog.get_logger(__name__)


async def run_turn(turn: RunningTurn, executor: ThreadPoolExecutor) -> None:
    """Ask the provider, then store the end, then tell the readers, in this order."""
    structlog.contextvars.bind_contextvars(request_id=turn.prepared.request_id)
    outcome = await _phase(turn)
    # From here on nobody cancels anything: a cancel that landed in `finish_turn` would leave
    # the readers without an end.
    turn.closing = True
    try:
        await _end(turn, outcome, executor)
    except Exception as exc:
        if _is_away(exc):
            # The row stays `running` with its last checkpoint until it is tended.
            raise
        # A bug of ours: the turn still has to end, by what its row and its log say.
        logger.exception(
            "A bug of Parley's: the end of an answer was not stored, it ends as failed. Please"
            " report what follows.",
            turn=str(turn.prepared.ref.turn_id),
        )
        status = Turn.Status.FAILED
        await close_turn(turn.prepared.ref.turn_id, status=status, error=Internal())
    hub.changed(turn.log)


async def _end(turn: RunningTurn, outcome: PhaseOutcome, executor: ThreadPoolExecutor) -> None:
    ended = await _finish(_ending(turn, outcome), executor)
    if ended is None:
        # Somebody else ended it. Their end is in the row.
        fill(turn.log, await in_thread(stored_turn)(turn.prepared.ref))
    else:
        turn.log.finish(ended.event(turn.log.last_seq + 1))
        _measure(turn, ended)


async def _phase(turn: RunningTurn) -> PhaseOutcome:
    """The provider phase in a task of its own, which is all that a stop or a drain cancels."""
    turn.phase = asyncio.get_running_loop().create_task(provider_phase(turn))
    if turn.cut:  # stopped before it began
        turn.phase.cancel()
    try:
        return await turn.phase
    except asyncio.CancelledError:
        # Cancelled before its first step, it never entered its own `try`; or by something in it
        # that nobody asked to.
        pass
    except Exception:  # it raises nothing, unless what it does about a failure fails, too
        logger.exception(
            "A bug of Parley's: an answer failed, what had come of it is kept. Please report what"
            " follows.",
            turn=str(turn.prepared.ref.turn_id),
        )
    outcome = PhaseOutcome(status=Turn.Status.FAILED, error=Internal())
    settle_cut(turn, outcome)
    return outcome


def _ending(turn: RunningTurn, outcome: PhaseOutcome) -> Ending:
    prepared, log = turn.prepared, turn.log
    asked = prepared.routes[0]
    uncounted = outcome.uncounted
    route = outcome.route or asked
    # Calls of tools that we run are told to the readers with their results only.
    said = log.last_seq > 0 or bool(outcome.tool_calls)
    answered = said or outcome.status == Turn.Status.COMPLETE
    return Ending(
        ref=prepared.ref,
        purpose=prepared.purpose,
        status=outcome.status,
        content=log.content,
        reasoning=log.reasoning,
        tool_calls=outcome.tool_calls,
        last_seq=log.last_seq,
        epoch=prepared.epoch,
        model=asked.name,
        encoding=route.encoding,
        prices=route.prices,
        prompt_estimate=prepared.prompt_tokens,
        started_at=prepared.started_at,
        seconds=time.monotonic() - turn.began,
        error=outcome.error,
        answered_by=route.name if answered else "",
        fallback=answered and route is not asked,
        reported=outcome.usage,
        uncounted=uncounted if uncounted and not uncounted.is_empty else None,
        first_token_seconds=turn.first_token and turn.first_token - turn.began,
        siblings=prepared.siblings,
        finish_reason=outcome.finish_reason,
        keeps_answer=prepared.keeps_answer,
        language=prepared.request.language,
    )


async def _finish(ending: Ending, executor: ThreadPoolExecutor) -> Ended | None:
    """Store the end; while the database is away, again for FINISH_RETRY_SECONDS."""
    finish = in_thread(finish_turn, executor=executor)
    give_up = time.monotonic() + settings.FINISH_RETRY_SECONDS
    pause = 0.1
    while True:
        try:
            return await finish(ending)
        except Exception as exc:
            if not _is_away(exc) or time.monotonic() > give_up:
                raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)


def _is_away(exc: Exception) -> bool:
    """True for what passes when the database is back."""
    return isinstance(as_app_error(exc), Unavailable)


def _measure(turn: RunningTurn, ended: Ended) -> None:
    model = metrics.model_label(turn.prepared.routes[0].name)
    metrics.turns_total.labels(status=ended.status, model=model).inc()
    metrics.tokens_total.labels(kind="prompt").inc(ended.usage.prompt_tokens)
    metrics.tokens_total.labels(kind="completion").inc(ended.usage.completion_tokens)
    if turn.first_token is not None:
        metrics.first_token_seconds.observe(turn.first_token - turn.began)
