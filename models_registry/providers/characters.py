"""Text in pieces that may cut a character in two (SECURITY I5).

A JavaScript server cuts an emoji between its two surrogates, a byte-level model between its UTF-8
bytes; the halves come in different JSON strings.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from common.text import clean

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# Python's "surrogateescape" form of bytes that were no UTF-8.
_RAW_BYTES = re.compile("[\udc80-\udcff]+")
# The first half of a pair, or raw bytes that begin a character and do not end it.
_UNFINISHED = re.compile(
    "(?:[\ud800-\udbff]|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?"
    "|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})$"
)
_LONGEST_UNFINISHED = 3


def loads(data: bytes) -> Any:
    """JSON, with half characters kept for `Joiner`. Raises ValueError.

    orjson refuses half surrogates and bytes that are no UTF-8; json takes both, once decoded.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        import json  # noqa: PLC0415 the rare path

        try:
            return json.loads(data.decode("utf-8", "surrogateescape"))
        except RecursionError as exc:
            raise ValueError("nested too deeply") from exc


class Joiner:
    """Keeps a half character back until its other half comes; what is lost becomes U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        if not self._held and text.isascii() and "\0" not in text:
            return text
        return self._join(self._held + text)

    def close(self) -> str:
        held, self._held = self._held, ""
        return clean(_RAW_BYTES.sub(_from_bytes, held))

    def _join(self, text: str) -> str:
        self._held = ""
        text = _PAIR.sub(_from_pair, text)
        if rest := _UNFINISHED.search(text[-_LONGEST_UNFINISHED:]):
            self._held = rest[0]
            text = text[: -len(rest[0])]
        return clean(_RAW_BYTES.sub(_from_bytes, text))


def _from_pair(found: re.Match[str]) -> str:
    return found[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _from_bytes(found: re.Match[str]) -> str:
    return found[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
