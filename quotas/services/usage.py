"""What was used, by the ledger: by day, model, person or API key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from common.money import as_decimal
from quotas.models import UsageRecord
from quotas.periods import midnight

# How a report is grouped -> the column that tells its rows apart.
_COLUMNS = {"user": "user_id", "model": "model", "key": "key_id"}
GROUPS = (*_COLUMNS, "day")
OWN_GROUPS = ("day", "model")


def today() -> date:
    """By the clock of the deployment."""
    return timezone.localdate(timezone=timezone.get_default_timezone())


def report(
    group_by: str, start: date, to: date, *, user_id: UUID | None = None
) -> list[dict[str, Any]]:
    """Sums of what began from `start` to `to`, both inclusive, in the deployment's time zone.

    Days come in their order, all else the dearest first. With `user_id` only what that person
    used. What the deployment did by itself has no user; a person who was erased has no name.
    """
    used = UsageRecord.objects.filter(
        started_at__gte=midnight(start), started_at__lt=midnight(to + timedelta(days=1))
    )
    if user_id is not None:
        used = used.filter(user_id=user_id)
    if group_by == "day":
        zone = timezone.get_default_timezone()
        rows = _summed(used.annotate(group=TruncDate("started_at", tzinfo=zone))).order_by("group")
    else:
        rows = _summed(used.annotate(group=F(_COLUMNS[group_by])))
        rows = rows.order_by("-cost_sum", "-prompt", "group")
    found = [{group_by: row["group"]} | _told(row) for row in rows]
    return _with_names(found, used) if group_by == "user" else found


def _summed(used: QuerySet[Any]) -> QuerySet[Any, Any]:
    summed: QuerySet[Any, Any] = (
        used.order_by()
        .values("group")
        .annotate(
            turns=Count("pk"),
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
            cost_sum=Sum("cost"),
        )
    )
    return summed


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "requests": row["turns"],
        "prompt_tokens": row["prompt"],
        "completion_tokens": row["completion"],
        "total_tokens": row["prompt"] + row["completion"],
        "cost": as_decimal(row["cost_sum"]),
    }


def _with_names(
    rows: Iterable[dict[str, Any]], used: QuerySet[UsageRecord]
) -> list[dict[str, Any]]:
    """With `username` beside `user`: one query, however many they are."""
    people = User.objects.get_queryset().filter(pk__in=used.order_by().values("user_id"))
    names = dict(people.values_list("pk", "username"))
    return [{"user": row["user"], "username": names.get(row["user"])} | row for row in rows]
