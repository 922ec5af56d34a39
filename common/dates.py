"""Spans of days that reports are asked for (I7)."""

from __future__ import annotations

from datetime import date, timedelta

from django.conf import settings
from django.utils.translation import gettext as _

from common.errors import Invalid


def span(start: date | None, to: date | None, *, today: date, back: int = 30) -> tuple[date, date]:
    """From `start` to `to`, both inclusive; the last `back` days where none is named.

    Raises Invalid, under `from` and `to`, for years that nobody means and for too long a time.
    """
    to = to or today
    check_year(to, "to")
    start = start or to - timedelta(days=back - 1)
    if start > to or (to - start).days >= settings.DATE_RANGE_DAYS:
        raise Invalid.field(
            "from", _("Choose at most %(days)d days.") % {"days": settings.DATE_RANGE_DAYS}
        )
    return start, to


def check_year(day: date, field: str) -> None:
    """Raise Invalid for a year outside DATE_YEARS."""
    first, last = settings.DATE_YEARS
    if not first <= day.year <= last:
        raise Invalid.field(field, _("Use a date like 2030-01-31."))
