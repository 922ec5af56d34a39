"""The end of a turn: text, status, usage and settlement in one transaction. The first one wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone, translation

from chat.models import Conversation, IdempotencyRecord, Message, Turn
from chat.streams import events
from chat.streams.events import Event, TurnRef
from chat.streams.stored import siblings
from common.db import write_transaction
from common.statements import update, update_returning
from models_registry.providers.base import Prices, Usage
from models_registry.tokens import count, count_messages, trusted_usage
from quotas.services.holds import Used, cost_of, settle

if TYPE_CHECKING:
    from chat.turns.collected import Collected
    from common.errors import AppError

CHARACTERS_PER_TOKEN = 3
_DETAIL_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended, whoever says so: its owner, or a process that closes it for another.

    `reported` is what the provider counted; it is believed within reason only (F13). `uncounted`
    is the round that broke off before its count came. `siblings` None are read.
    """

    ref: TurnRef
    purpose: str
    status: str
    content: str
    last_seq: int
    epoch: int
    model: str
    encoding: str
    prices: Prices
    prompt_estimate: int
    started_at: datetime
    seconds: float
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    error: AppError | None = None
    answered_by: str = ""
    fallback: bool = False
    reported: Usage | None = None
    uncounted: Collected | None = None
    first_token_seconds: float | None = None
    siblings: list[UUID] | None = None
    finish_reason: str = ""
    keeps_answer: bool = False
    # Counted by its length where the text itself was not kept.
    characters: int = 0
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Ended:
    """What was stored; `event` makes the end event with a given number."""

    status: str
    event: Callable[[int], Event]
    usage: Usage


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How the row says that the turn ended; `position` None without a conversation."""

    status: str
    code: str
    detail: str
    position: int | None


@dataclass(frozen=True, slots=True)
class _Charge:
    usage: Usage
    estimated: bool
    cost: int


def finish_turn(ending: Ending) -> Ended | None:
    """Store the end and settle, or None when the turn had ended before.

    A turn whose conversation's epoch moved (another speaks now) can only end `stopped`.
    """
    charge = _charge_of(ending)
    with translation.override(ending.language), write_transaction():
        verdict = _end(ending, charge)
        if verdict is None:
            transaction.set_rollback(True)
            return None
        message = _store(ending, _answer(ending, verdict, charge), verdict.position)
        settle(_used(ending, verdict, charge))
    return Ended(verdict.status, _event_of(ending.ref, verdict, message), charge.usage)


def _end(ending: Ending, charge: _Charge) -> _Verdict | None:
    """Lock the conversation, then end the turn's row; None when it had ended, or is gone."""
    status, error = ending.status, ending.error
    position = None
    if ending.ref.conversation_id is not None:
        conversation = update_returning(
            Conversation,
            where={"id": ending.ref.conversation_id},
            changes={"updated_at": timezone.now()},
            raised={
                "last_position": 1,
                "tokens": charge.usage.prompt_tokens + charge.usage.completion_tokens,
                "cost": charge.cost,
            },
        )
        if conversation is None:
            return None
        position = conversation.last_position
        if conversation.epoch != ending.epoch:
            status, error = Turn.Status.STOPPED, None
    code, detail = _error_fields(error)
    ended = update(
        Turn,
        where={"id": ending.ref.turn_id, "status": Turn.Status.RUNNING},
        changes={
            "status": status,
            "ended_at": timezone.now(),
            "last_seq": ending.last_seq,
            "text": "",
            "reasoning": "",
            "error_code": code,
            "error_detail": detail,
        },
    )
    return _Verdict(status, code, detail, position) if ended else None


def _answer(ending: Ending, verdict: _Verdict, charge: _Charge) -> dict[str, Any]:
    """What the end writes into the message, by the names of its fields."""
    return {
        "content": ending.content,
        "reasoning": ending.reasoning,
        "tool_calls": ending.tool_calls,
        "status": verdict.status,
        "model": ending.answered_by or ending.model,
        "fallback": ending.fallback,
        "prompt_tokens": charge.usage.prompt_tokens,
        "completion_tokens": charge.usage.completion_tokens,
        "cost": charge.cost,
        "usage_estimated": charge.estimated,
        "seconds": round(ending.seconds, 3),
        "error_code": verdict.code,
        "error_detail": verdict.detail,
    }


def _used(ending: Ending, verdict: _Verdict, charge: _Charge) -> Used:
    return Used(
        turn_id=ending.ref.turn_id,
        purpose=ending.purpose,
        model=ending.model,
        answered_by=ending.answered_by,
        outcome=verdict.status,
        usage=charge.usage,
        estimated=charge.estimated,
        prices=ending.prices,
        seconds=ending.seconds,
        first_token_seconds=ending.first_token_seconds,
    )


def _event_of(ref: TurnRef, verdict: _Verdict, message: dict[str, Any]) -> Callable[[int], Event]:
    if verdict.status == Turn.Status.FAILED:
        return lambda seq: events.error(ref.message_id, seq, verdict.code, verdict.detail)
    return lambda seq: events.complete(ref.message_id, seq, message)


def _charge_of(ending: Ending) -> _Charge:
    usage, estimated = _usage_of(ending)
    return _Charge(usage, estimated, cost_of(usage, ending.prices))


def _usage_of(ending: Ending) -> tuple[Usage, bool]:
    written = count(ending.content, ending.encoding) + count(ending.reasoning, ending.encoding)
    if not written:
        written = ending.characters // CHARACTERS_PER_TOKEN
    for call in ending.tool_calls:
        written += count(call["name"] + call["arguments"], ending.encoding)
    if ending.status == Turn.Status.FAILED and not written and ending.reported is None:
        return Usage(0, 0), False  # no provider answered: there is nothing to pay for
    if ending.reported is None or ending.uncounted is None:
        return trusted_usage(
            ending.reported, prompt_estimate=ending.prompt_estimate, completion_estimate=written
        )
    # The rounds before were counted, the one that broke off was not.
    broken = ending.uncounted
    said = broken.tokens_said(ending.encoding)
    usage, _estimated = trusted_usage(
        ending.reported,
        prompt_estimate=ending.prompt_estimate,
        completion_estimate=max(0, written - said),
    )
    whole = replace(
        usage,
        prompt_tokens=usage.prompt_tokens + count_messages(broken.asked, ending.encoding),
        completion_tokens=usage.completion_tokens + said,
    )
    return whole, True


def _error_fields(error: AppError | None) -> tuple[str, str]:
    if error is None:
        return "", ""
    return error.code, str(error)[:_DETAIL_CHARACTERS]


def _store(ending: Ending, answer: dict[str, Any], position: int | None) -> dict[str, Any]:
    """Write the answer to its message, or to the row of its key; the message as the wire has it."""
    if position is None:
        shown = _stateless_answer(ending, answer)
        if ending.keeps_answer:
            IdempotencyRecord.objects.filter(turn_id=ending.ref.turn_id).update(answer=shown)
        return shown
    message = update_returning(
        Message,
        where={"id": ending.ref.message_id},
        changes=answer | {"ended_position": position},
    )
    if message is None:
        raise AssertionError("a running turn has its message: deletion ends the turn first")
    known = ending.siblings
    return events.message_fields(message, siblings=siblings(message) if known is None else known)


def _stateless_answer(ending: Ending, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer of a turn that has no message, as the message it would be, fit for a JSON row."""
    message = Message(
        id=ending.ref.message_id,
        role=Message.Role.ASSISTANT,
        created_at=ending.started_at,
        **answer,
    )
    shown = events.message_fields(message, siblings=[]) | {"id": str(message.id)}
    if ending.purpose == Turn.Purpose.V1:
        shown["finish_reason"] = ending.finish_reason
    return shown
