"""How much of a limit: as people and programs write it, and as it is stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from common.errors import Invalid
from common.money import as_decimal, billionths
from quotas.models import AMOUNT_AT_MOST, Metric, Period

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
# More digits than any amount has; Decimal would read a million of them.
_MONEY_CHARACTERS = 40
_MONEY_PLACES = 6
# Of what Decimal reads, without spaces, underscores and the digits of other scripts.
_MONEY = re.compile(rf"[0-9.eE+-]{{1,{_MONEY_CHARACTERS}}}", re.ASCII)


class Allowance(NamedTuple):
    """So much of a metric in a period; a cost in billionths of the currency unit."""

    metric: str
    period: str
    amount: int

    def __str__(self) -> str:
        return f"{self.metric}/{self.period}={told(self.metric, self.amount)}"


def told(metric: str, amount: int) -> int | str:
    """`amount` as the wire has it: money as a decimal string, all else as a whole number."""
    return as_decimal(amount) if metric == Metric.COST else amount


def amount_of(metric: str, given: Any, *, field: str = "limit") -> int:
    """What is stored for `given`: a whole number, or, for a cost, money as a number or a string.

    Raises Invalid, naming `field`.
    """
    if metric == Metric.COST:
        amount = _money(given, field)
    elif isinstance(given, int) and not isinstance(given, bool):
        amount = given
    else:
        raise Invalid.field(field, _("Use a whole number."))
    _check_size(metric, amount, field=field)
    return amount


def amount_in(metric: str, text: str, *, field: str = "amount") -> int:
    """The same, from the words of a command line."""
    is_whole = metric != Metric.COST and _WHOLE.fullmatch(text)
    return amount_of(metric, int(text) if is_whole else text, field=field)


def check(allowances: Iterable[Allowance], *, field: str = "limits") -> list[Allowance]:
    """The same in their order; raises Invalid for what is no limit, or there twice."""
    found = list(allowances)
    for each in found:
        check_named(each.metric, each.period, field=field)
        _check_size(each.metric, each.amount, field=field)
    counts = Counter((each.metric, each.period) for each in found)
    for (metric, period), count in counts.items():
        if count > 1:
            raise Invalid.field(
                field, _("%(limit)s is there twice.") % {"limit": f"{metric}/{period}"}
            )
    return sorted(found, key=_place)


def check_named(metric: str, period: str, *, field: str = "") -> None:
    """Raise Invalid unless there are such a metric and such a period; `field` names both."""
    for name, value, known in (
        ("metric", metric, Metric.values),
        ("period", period, Period.values),
    ):
        if value not in known:
            raise Invalid.field(
                field or name, _("Use one of: %(values)s.") % {"values": ", ".join(known)}
            )


def _check_size(metric: str, amount: int, *, field: str) -> None:
    if not 0 <= amount <= AMOUNT_AT_MOST:
        high = told(metric, AMOUNT_AT_MOST)
        raise Invalid.field(field, _("Use a number from 0 to %(high)s.") % {"high": high})


def _place(allowance: Allowance) -> tuple[int, int]:
    return Metric.values.index(allowance.metric), Period.values.index(allowance.period)


def _money(given: Any, field: str) -> int:
    """Billionths; raises Invalid for what is no money, or has more places than it is told with."""
    is_number = isinstance(given, int | float | str) and not isinstance(given, bool)
    text = str(given) if is_number else ""
    if not _MONEY.fullmatch(text) or not _is_told_whole(text):
        raise Invalid.field(field, _("Use an amount of money like 12.50."))
    return billionths(text)


def _is_told_whole(text: str) -> bool:
    """Whether it is a number of an amount's size, without more places than it is told with."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return False
    return -_MONEY_PLACES <= int(amount.as_tuple().exponent) <= _MONEY_CHARACTERS
