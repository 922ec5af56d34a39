"""When windows begin and end: by the clock and calendar of the deployment's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from quotas.models.limits import Period

# `total` begins before anything was used.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def bounds(period: str, at: datetime) -> tuple[datetime, datetime | None]:
    """The window of `period` that `at` lies in: its start, which belongs to it, and its end, which
    does not (None: it never ends). Both in UTC.

    A day lasts from midnight to midnight of the time zone, be that 23, 24 or 25 hours; where the
    clock leaves midnight out, the day begins at the moment it does so.
    """
    if period == Period.TOTAL:
        return BEGINNING, None
    if period == Period.MINUTE:
        start = at.astimezone(UTC).replace(second=0, microsecond=0)
        return start, start + timedelta(minutes=1)
    today = at.astimezone(timezone.get_default_timezone()).date()
    if period == Period.DAY:
        return midnight(today), midnight(today + timedelta(days=1))
    first = today.replace(day=1)
    return midnight(first), midnight((first + timedelta(days=31)).replace(day=1))


def midnight(day: date) -> datetime:
    """When a day of the deployment begins, in UTC."""
    return datetime.combine(day, time.min, timezone.get_default_timezone()).astimezone(UTC)
