"""Query parameters, read strictly: a value outside its kind is `invalid`, never a default (I7)."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request

from common import dates
from common.errors import Invalid
from common.text import check_text

_DIGITS = re.compile(r"-?[0-9]{1,19}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


# What only a list with more than one order, or more than one page, understands.
_OF_LISTS = ("ordering", "cursor")


def refuse_unknown(request: Request, *, known: Collection[str]) -> None:
    """Raises Invalid for an order or a place in a list that has none (A5, I6)."""
    for name in _OF_LISTS:
        if name in request.query_params and name not in known:
            raise Invalid.field(name, _("This is not known here."))


def given(request: Request, name: str) -> str | None:
    """The raw value, None when it was not sent."""
    value = request.query_params.get(name)
    return None if value is None else check_text(value)


def choice(
    request: Request, name: str, allowed: Collection[str], *, default: str | None = None
) -> str | None:
    value = given(request, name)
    if value is None:
        return default
    if value not in allowed:
        raise Invalid.field(name, _("Use one of: %(values)s.") % {"values": ", ".join(allowed)})
    return value


def boolean(request: Request, name: str, *, default: bool | None = None) -> bool | None:
    value = choice(request, name, ("true", "false"))
    return default if value is None else value == "true"


def integer(
    request: Request, name: str, *, low: int, high: int, default: int | None = None
) -> int | None:
    value = given(request, name)
    if value is None:
        return default
    if not _DIGITS.fullmatch(value) or not low <= int(value) <= high:
        raise Invalid.field(
            name, _("Use a whole number from %(low)d to %(high)d.") % {"low": low, "high": high}
        )
    return int(value)


def limit(request: Request) -> int:
    """`?limit=`, 1-100."""
    found = integer(
        request, "limit", low=1, high=settings.PAGE_SIZE_MAX, default=settings.PAGE_SIZE
    )
    assert found is not None  # noqa: S101 there is a default
    return found


def uuid(request: Request, name: str) -> UUID | None:
    value = given(request, name)
    if value is None:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise Invalid.field(name, _("This is not an id.")) from None


def search(request: Request, name: str = "q") -> str:
    """Search text of 1-200 characters; "" when it was not sent."""
    value = given(request, name)
    if value is None:
        return ""
    if not value.strip() or len(value) > settings.SEARCH_CHARACTERS:
        raise Invalid.field(
            name, _("Use 1 to %(count)d characters.") % {"count": settings.SEARCH_CHARACTERS}
        )
    return value


def day(request: Request, name: str) -> date | None:
    value = given(request, name)
    if value is None:
        return None
    try:
        found = date.fromisoformat(value) if _DATE.fullmatch(value) else None
    except ValueError:
        found = None
    if found is None:
        raise Invalid.field(name, _("Use a date like 2030-01-31."))
    dates.check_year(found, name)
    return found


def days(request: Request, *, today: date) -> tuple[date, date]:
    """`?from=&to=`, both inclusive; the last 30 days where none is given. Raises Invalid."""
    return dates.span(day(request, "from"), day(request, "to"), today=today)
