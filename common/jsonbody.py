"""Strict JSON for REST bodies and socket frames: what cannot be stored is refused here."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from django.conf import settings
from django.utils.translation import gettext as _

from common.errors import Invalid
from common.text import check_json

_INT64 = 2**63
# One pass: a string is skipped whole, one that does not end up to the end of the body. Possessive,
# so that no body can make it look twice.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def parse_json(raw: bytes) -> Any:
    """The value of `raw`; raises Invalid for anything but plain, bounded JSON in UTF-8.

    Of a key that comes twice in one object, the last counts.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(_("The body is not UTF-8.")) from None
    _check_depth(raw)
    keys = 0

    def whole_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal keys
        keys += len(pairs)
        if keys > settings.JSON_KEYS:
            raise Invalid(_("The body has too many keys."))
        return dict(pairs)

    try:
        value = json.loads(
            text,
            object_pairs_hook=whole_object,
            parse_int=_whole_number,
            parse_float=_finite_number,
            parse_constant=_no_constant,
        )
    except Invalid:
        raise
    except (ValueError, RecursionError):
        raise Invalid(_("The body is not JSON.")) from None
    return check_json(value)


def _check_depth(raw: bytes) -> None:
    depth = 0
    for part in _STRUCTURE.finditer(raw):
        mark = part[0]
        if mark in b"[{":
            depth += 1
            if depth > settings.JSON_DEPTH:
                raise Invalid(_("The body is nested too deeply."))
        elif mark in b"]}":
            depth -= 1


def _whole_number(digits: str) -> int:
    if len(digits) <= settings.JSON_DIGITS:
        number = int(digits)
        if -_INT64 <= number < _INT64:
            return number
    raise Invalid(_("A number in the body is too large."))


def _finite_number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Invalid(_("A number in the body is too large."))
    return number


def _no_constant(name: str) -> NoReturn:
    raise Invalid(_("NaN and Infinity are not JSON."))
