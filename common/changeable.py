"""What a setting may hold that people change while Parley runs; `config.settings` lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.utils.translation import gettext as _

from common.errors import Invalid
from common.text import is_line

Value: TypeAlias = bool | int | str

_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Changeable:
    """A switch, a whole number from `low` to `high`, or a line of at most `characters`.

    `first` is what it is until somebody stores another value, and says of which type it is. A
    public one is shown to everybody.
    """

    first: Value
    label: Any
    is_public: bool = False
    low: int = 0
    high: int = 0
    characters: int = 0
    may_be_empty: bool = False

    @property
    def kind(self) -> type[Value]:
        return type(self.first)

    def check(self, name: str, value: Any) -> Value:
        """`value` itself; raises Invalid, naming the setting, where it cannot be this one's."""
        if type(value) is not self.kind or not self._fits(value):
            raise Invalid.field(name, self._expected())
        return value

    def read(self, name: str, text: str) -> Value:
        """What somebody typed, as a value; raises Invalid."""
        value: Any = text
        if self.kind is bool:
            value = {"true": True, "false": False}.get(text.strip().lower())
        elif self.kind is int:
            value = int(text) if _DIGITS.fullmatch(text) else None
        return self.check(name, value)

    def _fits(self, value: Any) -> bool:
        if self.kind is bool:
            return True
        if self.kind is int:
            return bool(self.low <= value <= self.high)
        if value == "":
            return self.may_be_empty
        return bool(value.strip()) and len(value) <= self.characters and is_line(value)

    def _expected(self) -> str:
        if self.kind is bool:
            return _("Use true or false.")
        if self.kind is int:
            return _("Use a whole number from %(low)d to %(high)d.") % {
                "low": self.low,
                "high": self.high,
            }
        return _("Use one line of at most %(count)d characters.") % {"count": self.characters}
