"""Do the counters agree with the ledger and the open holds? Windows are a copy of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from common.db import write_transaction
from quotas.models import Hold, Window
from quotas.services import windows
from quotas.services.amounts import told
from quotas.services.windows import Standing


@dataclass(frozen=True, slots=True)
class Difference:
    """A window whose counters say something else than the ledger and the open holds."""

    window: Window
    counted: Standing
    true: Standing

    def as_row(self) -> dict[str, Any]:
        """As commands tell it."""
        window, counted, true = self.window, self.counted, self.true
        return {
            "subject": window.kind,
            "id": window.subject_id,
            "metric": window.metric,
            "period": window.period,
            "start": window.start.isoformat(),
            "used": told(window.metric, counted.used),
            "used_by_ledger": told(window.metric, true.used),
            "held": told(window.metric, counted.held),
            "held_by_ledger": told(window.metric, true.held),
        }


def audit(*, repair: bool = False) -> Iterator[Difference]:
    """Windows that are wrong, one after the other; put right if `repair`. Servers may run
    meanwhile: each window is looked at while nobody settles and nobody takes room in it."""
    for window_id in Window.objects.order_by("id").values_list("id", flat=True).iterator():
        difference = _audited(window_id, repair=repair)
        if difference is not None:
            yield difference


def differences() -> Iterator[Difference]:
    """Windows that are wrong, without a lock: for whose transaction sees one moment only."""
    for window in Window.objects.order_by("id").iterator():
        if (difference := _difference(window)) is not None:
            yield difference


def _audited(window_id: UUID, *, repair: bool) -> Difference | None:
    with write_transaction():
        windows.making()
        window = Window.objects.select_for_update().filter(pk=window_id).first()
        difference = _difference(window) if window is not None else None
        if difference is not None and repair:
            true = difference.true
            Window.objects.filter(pk=window_id).update(used=true.used, held=true.held)
        return difference


def _difference(window: Window) -> Difference | None:
    counted = Standing(window.used, window.held)
    true = Standing(windows.ledger_sum(window), _held_in(window))
    return Difference(window, counted, true) if counted != true else None


def _held_in(window: Window) -> int:
    """What open holds hold in this window: those that were counted in it."""
    charged = windows.charged_to(window.kind, window.subject_id)
    holds = Hold.objects.filter(charged, windows.within(window), status=Hold.Status.OPEN)
    return sum(
        each.amounts.of(window.metric)
        for each in holds.iterator()
        if any(window_id == str(window.pk) for window_id, _limit in each.windows)
    )
