"""Jobs of chat."""

from __future__ import annotations

from celery import shared_task

from chat.turns import unsettled


@shared_task
def settle_holds() -> None:
    """Settle what was left open by turns that have ended, or are gone."""
    unsettled.settle_holds()
