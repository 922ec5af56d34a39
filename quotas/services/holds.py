"""Reserve, run, settle: what a turn may use is set aside before it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from constance import config
from django.utils import timezone

from common.errors import Unavailable
from common.money import PRICED_TOKENS, price_of, rounded
from common.statements import insert, update_returning
from quotas.models import Consumption, Hold, Metric, Payer, UsageRecord
from quotas.services import quota_warnings, windows
from quotas.services.limits import Applying, limits_of

if TYPE_CHECKING:
    from models_registry.providers.base import Prices, Usage

T = TypeVar("T")

# Each but the first follows a change of limits, or a new minute, during the one before.
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Used:
    """What a turn has used, for its row in the ledger. Times in seconds."""

    turn_id: UUID
    purpose: str
    model: str
    answered_by: str
    outcome: str
    usage: Usage
    estimated: bool
    prices: Prices
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a turn is expected to use. `most_output_tokens` is the most that the model would write
    if nothing held it back, None if it does not say. `may_be_cut` False is for an answer that is
    to have all of `output_tokens`, or not to begin (R9)."""

    prompt_tokens: int
    output_tokens: int
    prices: Prices
    most_output_tokens: int | None = None
    may_be_cut: bool = True

    def amounts(self, output_tokens: int) -> Consumption:
        price = price_of(self.prompt_tokens, self.prices.input)
        price += price_of(output_tokens, self.prices.output)
        return Consumption(1, self.prompt_tokens + output_tokens, rounded(price))


def holding(begin: Callable[[], T]) -> T:
    """Run `begin`, a transaction that holds. Where windows are missing it is rolled back, they are
    made, and it runs again: usually once, each of its kind once in their time.

    Others may be missing by then, where a limit was set meanwhile or a new minute has begun.
    Raises Unavailable where that does not end.
    """
    for _attempt in range(_ATTEMPTS):
        try:
            return begin()
        except windows.WindowsMissing as missing:
            windows.make(missing.limits, at=missing.at)
    raise Unavailable


def hold(*, turn_id: UUID, payer: Payer, wanted: Wanted, started_at: datetime) -> int | None:
    """Set room aside for a turn; the last write of the transaction that prepares it.

    Returns the most tokens that the answer may have, None for no bound: that is where the
    deployment asks for hard limits. Raises QuotaExceeded or, for a limit by the minute,
    RateLimited, of the first limit without room; WindowsMissing for `holding`.
    """
    applying = limits_of(payer, at=started_at)
    output, bound = wanted.output_tokens, None
    if config.hard_limits and wanted.may_be_cut:
        output, bound = _bound(applying, wanted, at=started_at)
    amounts = wanted.amounts(output)
    taken = windows.take(applying.limits, amounts, at=started_at)
    groups = ",".join(applying.group_ids)
    insert(
        Hold(
            turn_id=turn_id,
            user_id=payer.user_id,
            key_id=payer.key_id,
            inbox_id=payer.inbox_id,
            attribution=payer.attribution,
            group_ids=f",{groups}," if groups else "",
            started_at=started_at,
            windows=taken,
            tokens=amounts.tokens,
            cost=amounts.cost,
        )
    )
    return bound


def _bound(applying: Applying, wanted: Wanted, *, at: datetime) -> tuple[int, int | None]:
    """How many tokens of output to hold, and to allow, so that no limit is passed: as many as the
    model would write, as far as there is room. What is expected anyway if not even one fits: the
    refusal follows from it."""
    rooms = []
    for limit in applying.limits:
        standing = windows.standing_of(limit, at=at)
        if standing is None:
            raise windows.WindowsMissing(applying.limits, at)
        room = limit.amount - standing.used - standing.held
        if limit.metric == Metric.TOKENS:
            rooms.append(room - wanted.prompt_tokens)
        elif limit.metric == Metric.COST and wanted.prices.output:
            left = room - wanted.amounts(0).cost
            rooms.append(left * PRICED_TOKENS // wanted.prices.output)
    if not rooms:
        return wanted.output_tokens, None
    most = (
        min(rooms) if wanted.most_output_tokens is None else min(*rooms, wanted.most_output_tokens)
    )
    return (most, most) if most > 0 else (wanted.output_tokens, wanted.output_tokens)


def settle(used: Used) -> bool:
    """Close the turn's hold, count what was used and write the ledger, once; False when it was
    settled already."""
    windows.settling()
    closed = _close(used.turn_id)
    if closed is None:
        return False
    record = UsageRecord(
        turn_id=used.turn_id,
        user_id=closed.user_id,
        key_id=closed.key_id,
        inbox_id=closed.inbox_id,
        group_ids=closed.group_ids,
        attribution=closed.attribution,
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
        started_at=closed.started_at,
        seconds=used.seconds,
        first_token_seconds=used.first_token_seconds,
    )
    insert(record)
    tokens = record.prompt_tokens + record.completion_tokens
    amounts = Consumption(1, tokens, record.cost)
    changed = windows.settle(closed, amounts)
    quota_warnings.note(closed.user_id, changed)
    return True


def release(turn_id: UUID) -> bool:
    """Close the hold of a turn of which nothing is known, not even what it used."""
    windows.settling()
    closed = _close(turn_id)
    if closed is None:
        return False
    windows.settle(closed, None)
    return True


def _close(turn_id: UUID) -> Hold | None:
    return update_returning(
        Hold,
        where={"turn_id": turn_id, "status": Hold.Status.OPEN},
        changes={"status": Hold.Status.SETTLED, "settled_at": timezone.now()},
    )
