"""Values of a request, read strictly. A wrong one is refused by its path (`messages[0].role`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.utils.translation import gettext as _

from common.errors import Invalid


def text(value: Any, where: str, *, most: int | None = None) -> str:
    if not isinstance(value, str):
        raise Invalid.field(where, _("This must be text."))
    if most is not None and len(value) > most:
        raise Invalid.field(where, _("Use at most %(count)d characters.") % {"count": most})
    return value


def word(value: Any, where: str, allowed: Collection[str]) -> str:
    """One of a few."""
    if not isinstance(value, str) or value not in allowed:
        raise Invalid.field(where, _("Use one of: %(values)s.") % {"values": ", ".join(allowed)})
    return value


def switch(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid.field(where, _("Use true or false."))
    return value


def mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid.field(where, _("This must be an object."))
    return value


def items(value: Any, where: str, *, most: int | None = None) -> list[Any]:
    """A list that is not empty."""
    if not isinstance(value, list) or not value:
        raise Invalid.field(where, _("This must be a list that is not empty."))
    if most is not None and len(value) > most:
        raise Invalid.field(where, _("Use at most %(count)d.") % {"count": most})
    return value


def number(value: Any, where: str, *, low: float, high: float) -> float:
    if type(value) not in {int, float} or not low <= value <= high:
        raise Invalid.field(
            where, _("Use a number from %(low)g to %(high)g.") % {"low": low, "high": high}
        )
    return float(value)


def whole(value: Any, where: str, *, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Invalid.field(
            where, _("Use a whole number from %(low)d to %(high)d.") % {"low": low, "high": high}
        )
    return value


def not_here(where: str, name: str) -> Invalid:
    """The refusal of what OpenAI has and Parley does not."""
    return Invalid.field(where, _("%(name)s is not supported here.") % {"name": name})
