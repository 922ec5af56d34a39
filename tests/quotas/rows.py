"""Limits, plans and turns for the tests of metering."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from common.db import write_transaction
from models_registry.providers.base import Prices, Usage
from quotas.models import Kind, Payer, Plan, PlanAssignment, PlanLimit, SubjectLimit, Window
from quotas.services.holds import Used, Wanted, hold, holding, settle

PRICES = Prices(input=1_000_000, output=1_000_000, cached=1_000_000)  # 1 billionth a token
ROOMY = Wanted(prompt_tokens=10, output_tokens=90, prices=PRICES)


def limited(kind: str, subject_id: object, metric: str, period: str, amount: int) -> SubjectLimit:
    return SubjectLimit.objects.create(
        kind=kind, subject_id=str(subject_id), metric=metric, period=period, amount=amount
    )


def plan(name: str, *limits: tuple[str, str, int], **fields: Any) -> Plan:
    made = Plan.objects.create(name=name, **fields)
    for metric, period, amount in limits:
        PlanLimit.objects.create(plan=made, metric=metric, period=period, amount=amount)
    return made


def assign(kind: str, subject_id: object, its: Plan) -> None:
    PlanAssignment.objects.create(kind=kind, subject_id=str(subject_id), plan=its)


def begin(
    payer: Payer, wanted: Wanted = ROOMY, *, at: datetime | None = None, turn_id: UUID | None = None
) -> UUID:
    """Hold for a turn that begins, as `prepare_turn` does."""
    turn_id = turn_id or uuid4()
    now = at or timezone.now()

    def prepare() -> None:
        with write_transaction():
            hold(turn_id=turn_id, payer=payer, wanted=wanted, started_at=now)

    holding(prepare)
    return turn_id


def end(turn_id: UUID, prompt: int = 10, completion: int = 20) -> bool:
    used = Used(
        turn_id=turn_id,
        purpose="message",
        model="echo",
        answered_by="echo",
        outcome="complete",
        usage=Usage(prompt, completion),
        estimated=False,
        prices=PRICES,
        seconds=1.0,
        first_token_seconds=0.1,
    )
    with write_transaction():
        return settle(used)


def window(kind: str = Kind.USER, **fields: Any) -> Window:
    return Window.objects.get(kind=kind, **fields)
