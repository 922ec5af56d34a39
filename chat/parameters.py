"""What a client may ask of a model: an allow-list with ranges (O9).

Whatever is not on it never reaches a provider: no address, no key, no header of the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

STOPS_AT_MOST = 4
STOP_CHARACTERS = 64
INTEGER_AT_MOST = 2**31 - 1


class _OutOfRange(ValueError):
    """The sentence for the person who sent the value."""


def _number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise _OutOfRange(
                _("Use a number from %(low)g to %(high)g.") % {"low": low, "high": high}
            )
        return float(value)

    return read


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not low <= value <= high:
            raise _OutOfRange(
                _("Use a whole number from %(low)d to %(high)d.") % {"low": low, "high": high}
            )
        return int(value)

    return read


def _only(number: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if value != number or not isinstance(value, int) or isinstance(value, bool):
            raise _OutOfRange(_("Only %(number)d is possible.") % {"number": number})
        return number

    return read


def _stops(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if (
        not isinstance(texts, list)
        or len(texts) > STOPS_AT_MOST
        or not all(isinstance(text, str) and 1 <= len(text) <= STOP_CHARACTERS for text in texts)
    ):
        raise _OutOfRange(
            _("Use at most %(count)d texts of 1 to %(length)d characters.")
            % {"count": STOPS_AT_MOST, "length": STOP_CHARACTERS}
        )
    return texts


_READERS: dict[str, Callable[[Any], Any]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "max_tokens": _whole(1, INTEGER_AT_MOST),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "seed": _whole(-INTEGER_AT_MOST, INTEGER_AT_MOST),
    "stop": _stops,
    "n": _only(1),
}


def known_parameters(sent: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The known ones among `sent` that are in their range, and a sentence for each that is not.

    Null is "not given", others are ignored.
    """
    wrong: dict[str, list[str]] = {}
    parameters: dict[str, Any] = {}
    for name, read in _READERS.items():
        if sent.get(name) is None:
            continue
        try:
            parameters[name] = read(sent[name])
        except _OutOfRange as exc:
            wrong[name] = [str(exc)]
    parameters.pop("n", None)
    return parameters, wrong
