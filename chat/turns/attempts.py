"""The provider phase of a turn: which model is asked, how often, and how it ended.

Nothing here touches the database. Tries are repeated, and other models asked, before the first
token only; afterwards what came is kept and nothing is glued to it.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from chat.errors import TurnCutOff
from chat.models import Turn
from chat.streams.hub import hub
from chat.turns import tools
from chat.turns.collected import Collected
from chat.turns.in_flight import PhaseOutcome
from common.errors import AppError, Internal
from models_registry import cooldown
from models_registry.errors import (
    ModelUnavailable,
    ProviderCut,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
)
from models_registry.providers.base import (
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models_registry.providers.factory import provider_for

if TYPE_CHECKING:
    from chat.turns.in_flight import RunningTurn
    from models_registry.providers.base import ChatRequest, ProviderEvent, Route

logger = structlog.get_logger(__name__)

# After some text these mean that the connection ended; any other error is the provider's word.
_BROKE_OFF = (ProviderCut, ProviderTimeout, ProviderUnreachable)


async def provider_phase(turn: RunningTurn) -> PhaseOutcome:
    """Get an answer into the log. Never raises: every end is a `PhaseOutcome`."""
    outcome = PhaseOutcome()
    try:
        async with asyncio.timeout(settings.TURN_SECONDS):
            await _converse(turn, outcome)
    except asyncio.CancelledError:
        if not turn.cut:
            raise
    except TimeoutError:
        _fail(turn, outcome, ProviderTimeout())
    except AppError as exc:
        _fail(turn, outcome, exc)
    except Exception:  # a bug of ours must not leave the turn running
        logger.exception(
            "A bug of Parley's: an answer failed, what had come of it is kept. Please report what"
            " follows.",
            turn=str(turn.prepared.ref.turn_id),
        )
        outcome.status, outcome.error = Turn.Status.FAILED, Internal()
    if outcome.unfinished:
        # What arrived before the end is kept and charged, as the text is (F10).
        outcome.tool_calls += outcome.unfinished.calls()
    settle_cut(turn, outcome)
    return outcome


def settle_cut(turn: RunningTurn, outcome: PhaseOutcome) -> None:
    """What it means that the phase was ended from outside."""
    if turn.cut == Turn.StopReason.SHUTDOWN:
        outcome.status, outcome.error = Turn.Status.INTERRUPTED, TurnCutOff()
    elif turn.cut:
        outcome.status, outcome.error = Turn.Status.STOPPED, None


def _fail(turn: RunningTurn, outcome: PhaseOutcome, error: AppError) -> None:
    outcome.error = error
    broke_off = turn.log.last_seq > 0 and isinstance(error, _BROKE_OFF)
    outcome.status = Turn.Status.INTERRUPTED if broke_off else Turn.Status.FAILED


async def _converse(turn: RunningTurn, outcome: PhaseOutcome) -> None:
    """Rounds of answer and tool calls; one round where the turn brings no tools."""
    prepared = turn.prepared
    request = prepared.request
    request = replace(request, tools=tools.schemas(prepared.tools) or request.tools)
    routes = prepared.routes
    for _round in range(settings.TOOL_ROUNDS):
        collected = await _ask_in_order(turn, outcome, routes, request)
        calls = collected.calls()
        if not (calls and prepared.tools):
            return
        results = await tools.run(calls, prepared.tools)
        outcome.tool_calls += results
        outcome.unfinished = None
        for result in results:
            turn.log.add("", tool_call=result)
        hub.changed(turn.log)
        request = replace(
            request, messages=[*request.messages, *tools.as_messages(collected.text, results)]
        )
        routes = [outcome.route] if outcome.route else routes


async def _ask_in_order(
    turn: RunningTurn, outcome: PhaseOutcome, routes: list[Route], request: ChatRequest
) -> Collected:
    """Ask the models in order until one answers; raises what the last one failed with."""
    failure: AppError = ModelUnavailable()
    shown = turn.log.last_seq
    left = turn.prepared.tries_in_all
    for place, route in enumerate(routes):
        tries = _tries(left, others=len(routes) - place - 1)
        for attempt in range(tries):
            if not cooldown.admit(route):
                break
            left = None if left is None else left - 1
            outcome.route = route
            answer = await _try(turn, outcome, route, request)
            if isinstance(answer, Collected):
                return answer
            failure = answer
            pause = _pause(answer, attempt)
            if turn.log.last_seq > shown:
                raise answer
            if pause is None or attempt + 1 == tries:
                break
            await asyncio.sleep(pause)
    raise failure


async def _try(
    turn: RunningTurn, outcome: PhaseOutcome, route: Route, request: ChatRequest
) -> Collected | ProviderError:
    """One try with its verdict told to the cool-down: what came, or why it failed."""
    # Of its own: what an earlier try began must not be glued to it (F14).
    collected = outcome.uncounted = outcome.unfinished = Collected(request.messages)
    try:
        await _ask(turn, outcome, route, request, collected)
    except ProviderError as exc:
        _note(route, exc)
        return exc
    except BaseException:
        cooldown.released(route)
        raise
    cooldown.succeeded(route)
    return collected


def _note(route: Route, error: ProviderError) -> None:
    logger.warning(
        "A model's provider failed. Where that may help it is asked again, and then the next model."
        " If this goes on, test its connection.",
        model=route.name,
        error=type(error).__name__,
        status=error.upstream_status,
    )
    if error.retryable:
        cooldown.failed(route)
    else:
        cooldown.released(route)


def _tries(left: int | None, *, others: int) -> int:
    """How often a model is asked: of what is `left` in all, one try is each of the others'."""
    most: int = settings.PROVIDER_TRIES
    return most if left is None else max(1, min(most, left - others))


def _pause(error: ProviderError, attempt: int) -> float | None:
    """Seconds until the same model is asked again, None for never."""
    if not error.retryable or attempt + 1 >= settings.PROVIDER_TRIES:
        return None
    if error.retry_after is not None:
        wanted = float(error.retry_after)
        return wanted if wanted <= float(settings.PROVIDER_RETRY_AFTER_SECONDS) else None
    return 0.25 * (attempt + 1) * (1 + random.random())  # noqa: S311 jitter is no secret


async def _ask(
    turn: RunningTurn,
    outcome: PhaseOutcome,
    route: Route,
    request: ChatRequest,
    collected: Collected,
) -> None:
    """One request to one model, its deltas into the log.

    `touched` moves with every delta; the runner's watcher ends a silence by moving `timer`: a
    timer of one's own per token would cost more than the token.
    """
    loop = asyncio.get_running_loop()
    provider = provider_for(route)
    request = replace(request, max_tokens=_most(request.max_tokens, route.max_output_tokens))
    first = settings.PROVIDER_FIRST_TOKEN_SECONDS
    turn.touched = loop.time()
    try:
        async with asyncio.timeout(first) as timer:
            async with aclosing(provider.stream(request)) as stream:
                async for event in stream:
                    turn.touched = loop.time()
                    if turn.timer is None and not isinstance(event, Finished):
                        turn.first_token = turn.first_token or time.monotonic()
                        timer.reschedule(None)
                        turn.timer, turn.route = timer, route
                    _take(turn, outcome, event, collected)
    except TimeoutError as exc:
        if timer.expired():
            raise ProviderTimeout() from exc
        raise
    finally:
        turn.timer = None


def _most(asked: int | None, limit: int | None) -> int | None:
    if asked is None or limit is None:
        return asked
    return min(asked, limit)


def _take(
    turn: RunningTurn, outcome: PhaseOutcome, event: ProviderEvent, collected: Collected
) -> None:
    log = turn.log
    match event:
        case TextDelta(text):
            if text:
                log.add(text)
                collected.text.append(text)
        case ReasoningDelta(text):
            if text:
                log.add("", reasoning=text)
                collected.reasoning.append(text)
        case ToolCallDelta() | LogprobsDelta():
            _take_beside(turn, event, collected)
        case Finished(reason, usage):
            outcome.finish_reason = reason
            _count(outcome, usage)
            return
    hub.changed(log)


def _take_beside(
    turn: RunningTurn, event: ToolCallDelta | LogprobsDelta, collected: Collected
) -> None:
    """What stands beside the text, for readers who asked for it."""
    if isinstance(event, ToolCallDelta):
        call = collected.take(event)
        if not turn.prepared.tools:
            turn.log.add("", tool_call=call)
    elif turn.prepared.request.options.get("logprobs"):
        turn.log.add("", logprobs=event.entries)


def _count(outcome: PhaseOutcome, usage: Usage | None) -> None:
    outcome.usage = _sum(outcome.usage, usage)
    if usage is not None:
        outcome.uncounted = None


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    fields: dict[str, Any] = {
        name: getattr(one, name) + getattr(other, name) for name in Usage.__slots__
    }
    return Usage(**fields)
