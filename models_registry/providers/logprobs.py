"""How likely the words of an answer were, as providers tell it: OpenAI's entries, and no more."""

from __future__ import annotations

from typing import Any

import orjson
from django.conf import settings

from common.text import clean

_ALTERNATIVES = 20


class Logprobs:
    """The entries of one answer. `is_full` says that more came than any answer may hold."""

    def __init__(self) -> None:
        self.is_full = False
        self._room = settings.PROVIDER_LOGPROBS_BYTES

    def take(self, value: Any) -> list[dict[str, Any]]:
        """The entries in a choice's `logprobs`; what is malformed is left out."""
        entries = value.get("content") if isinstance(value, dict) else None
        if not isinstance(entries, list) or self.is_full:
            return []
        found = [_entry(each, alternatives=True) for each in entries if _is_entry(each)]
        self._room -= len(orjson.dumps(found))
        self.is_full = self._room < 0
        return found


def _is_entry(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("token"), str)
        and type(value.get("logprob")) in {int, float}
    )


def _entry(value: dict[str, Any], *, alternatives: bool = False) -> dict[str, Any]:
    raw = value.get("bytes")
    sound = isinstance(raw, list) and all(type(each) is int and 0 <= each < 256 for each in raw)  # noqa: PLR2004 a byte
    made = {
        "token": clean(value["token"]),
        "logprob": value["logprob"],
        "bytes": raw if sound else None,
    }
    if alternatives:
        others = value.get("top_logprobs")
        listed = others[:_ALTERNATIVES] if isinstance(others, list) else []
        made["top_logprobs"] = [_entry(each) for each in listed if _is_entry(each)]
    return made
