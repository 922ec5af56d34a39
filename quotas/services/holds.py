"""Reserve, run, settle: what a turn may use is set aside before it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils import timezone

from common.money import price_of, rounded
from common.statements import insert, update, update_returning
from quotas.models import Hold, Subject, UsageRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models_registry.providers.base import Prices, Usage


@dataclass(frozen=True, slots=True)
class Used:
    """What a turn has used, for its row in the ledger. Times in seconds."""

    turn_id: UUID
    user_id: UUID | None
    purpose: str
    model: str
    answered_by: str
    outcome: str
    usage: Usage
    estimated: bool
    prices: Prices
    started_at: datetime
    seconds: float
    first_token_seconds: float | None


def cost_of(usage: Usage, prices: Prices) -> int:
    """Billionths of the currency unit, rounded once, half even."""
    fresh = usage.prompt_tokens - usage.cached_tokens
    return rounded(
        price_of(fresh, prices.input)
        + price_of(usage.cached_tokens, prices.cached)
        + price_of(usage.completion_tokens, prices.output)
    )


def hold(
    *,
    turn_id: UUID,
    subjects: Sequence[Subject],
    prompt_tokens: int,
    output_tokens: int,
    prices: Prices,
) -> Hold:
    """Set room aside for a turn; the last write of the transaction that prepares it."""
    held = Hold(
        turn_id=turn_id,
        subjects=[asdict(subject) for subject in subjects],
        tokens=prompt_tokens + output_tokens,
        cost=rounded(
            price_of(prompt_tokens, prices.input) + price_of(output_tokens, prices.output)
        ),
    )
    insert(held)
    return held


def settle(used: Used) -> bool:
    """Close the turn's hold and write the ledger, once; False when it was settled already."""
    closed = update_returning(
        Hold,
        where={"turn_id": used.turn_id, "status": Hold.Status.OPEN},
        changes={"status": Hold.Status.SETTLED, "settled_at": timezone.now()},
    )
    if closed is None:
        return False
    record = UsageRecord(
        turn_id=used.turn_id,
        user_id=used.user_id,
        subjects=closed.subjects,
        purpose=used.purpose,
        model=used.model,
        answered_by=used.answered_by,
        outcome=used.outcome,
        prompt_tokens=used.usage.prompt_tokens,
        completion_tokens=used.usage.completion_tokens,
        cached_tokens=used.usage.cached_tokens,
        reasoning_tokens=used.usage.reasoning_tokens,
        estimated=used.estimated,
        input_price=used.prices.input,
        output_price=used.prices.output,
        cached_price=used.prices.cached,
        cost=cost_of(used.usage, used.prices),
        started_at=used.started_at,
        seconds=used.seconds,
        first_token_seconds=used.first_token_seconds,
    )
    insert(record)
    return True


def release(turn_id: UUID) -> bool:
    """Close the hold of a turn of which nothing is known, not even what it used."""
    return bool(
        update(
            Hold,
            where={"turn_id": turn_id, "status": Hold.Status.OPEN},
            changes={"status": Hold.Status.SETTLED, "settled_at": timezone.now()},
        )
    )
