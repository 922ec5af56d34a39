"""Telling people that a limit comes to its end: at 80 and at 100 % of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction

from common.statements import insert
from quotas.models import QuotaWarning
from quotas.services.limits import Limit
from quotas.services.windows import Standing, shown
from quotas.signals import quota_warned

if TYPE_CHECKING:
    from quotas.models import Window


def note(user_id: UUID | None, changed: Iterable[tuple[Window, int, int]]) -> None:
    """Write down what has just been reached; part of the transaction that settles. `changed` are
    windows as they are now, each with its limit and what was added.

    `used` only grows, so that exactly one turn passes each mark.
    """
    if user_id is None:
        return
    for window, amount, added in changed:
        before = window.used - added
        passed = [
            percent
            for percent in settings.QUOTA_WARNING_PERCENTS
            if before * 100 < amount * percent <= window.used * 100
        ]
        if passed:
            limit = Limit(window.kind, window.subject_id, window.metric, window.period, amount)
            told = shown(limit, Standing(window.used, window.held), at=window.start)
            warning = QuotaWarning(
                user_id=user_id, window_id=window.pk, percent=max(passed), limit=told
            )
            insert(warning)
            tell = partial(quota_warned.send, QuotaWarning, warning=warning)
            transaction.on_commit(tell, robust=True)  # the turn has ended, whoever hears of it


def warned_since(user_ids: Collection[UUID], since: datetime) -> list[QuotaWarning]:
    """What these people were told after `since`."""
    found = QuotaWarning.objects.filter(user_id__in=user_ids, created_at__gt=since)
    return list(found.order_by("id"))
