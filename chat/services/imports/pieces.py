"""A large JSON file cut into pieces that are small enough to be parsed one by one.

Nothing is parsed whole: of 50 MiB of brackets a parser makes gigabytes, and holds the event loop
while it does. One pass over the bytes finds where the outer containers begin and end; what is in
them is parsed by itself, with their inner containers left out.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.utils.translation import gettext as _

from common.errors import Invalid

# Deep enough for file > conversations > conversation > messages > message.
_DEPTH = 5
# Possessive, so that no file can make it look twice.
_NO_BRACKET = rb'[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"'
_FLAT = rb"[\[{](?:%s)*+[\]}]" % _NO_BRACKET
_SMALL = rb"[\[{](?:%s|%s)*+[\]}]" % (_NO_BRACKET, _FLAT)
# The next bracket that is in no string.
_BRACKET = re.compile(rb"(?:%s)*+([\[\]{}])" % _NO_BRACKET, re.DOTALL)
# The same, past containers in which there is little: most of a file's brackets are theirs.
_BRACKET_FURTHER = re.compile(rb"(?:%s|%s)*+([\[\]{}])" % (_NO_BRACKET, _SMALL), re.DOTALL)
_SMALL_DEPTH = 2
_OPENING = frozenset(b"[{")
_BLANK = b" \t\r\n"
# An escaped character, or a pair of escapes that is one; half a pair is no character.
_ESCAPE = re.compile(rb"\\(?:(u[dD][89abAB]..\\u[dD][c-fC-F]..)|(u[dD][89a-fA-F]..)|.)", re.DOTALL)


class Span(NamedTuple):
    """Where a container stands in the file, and how deep."""

    start: int
    end: int
    depth: int


class Member(NamedTuple):
    """A container within another; its name, if that one is an object."""

    name: str
    span: Span


class Pieces:
    """The file. Raises Invalid for anything but JSON of sound size."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw.removeprefix(b"\xef\xbb\xbf")
        self._piece_bytes: int = settings.IMPORT_PIECE_BYTES
        self._starts = [array("I") for _depth in range(_DEPTH)]
        self._ends = [array("I") for _depth in range(_DEPTH)]
        self._scan()

    def _scan(self) -> None:
        starts = self._starts[0]
        position = self._scan_brackets()
        if len(starts) != 1:
            raise not_json()
        if self.raw[: starts[0]].strip(_BLANK) or self.raw[position:].strip(_BLANK):
            raise not_json()

    def _scan_brackets(self) -> int:
        """Note where the outer containers stand; where the last of all ends."""
        raw, starts, ends = self.raw, self._starts, self._ends
        most, deepest = settings.IMPORT_BRACKETS, settings.JSON_DEPTH
        # Where nothing is noted any more, and nothing too deep can be passed by.
        further = range(_DEPTH, deepest - _SMALL_DEPTH + 1)
        position = depth = 0
        next_bracket = _BRACKET.match
        while (found := next_bracket(raw, position)) and 0 <= depth <= deepest and most > 0:
            position = found.end()
            most -= 1
            if raw[position - 1] in _OPENING:
                if depth < _DEPTH:
                    starts[depth].append(position - 1)
                depth += 1
            else:
                depth -= 1
                if 0 <= depth < _DEPTH:
                    ends[depth].append(position)
            next_bracket = (_BRACKET_FURTHER if depth in further else _BRACKET).match
        if depth > deepest:
            raise Invalid(_("The body is nested too deeply."))
        if most == 0:
            raise Invalid(_("The file has too many parts. Split it."))
        if depth:
            raise not_json()
        return position

    def whole(self) -> Span:
        return Span(self._starts[0][0], self._ends[0][0], 0)

    def is_list(self, span: Span) -> bool:
        return self.raw[span.start] == ord("[")

    def inner(self, span: Span) -> range:
        """Which containers of the next depth stand in this one."""
        if span.depth + 1 >= _DEPTH:
            return range(0)
        starts = self._starts[span.depth + 1]
        return range(bisect_left(starts, span.start), bisect_left(starts, span.end))

    def outline(self, span: Span) -> tuple[Any, list[Member]]:
        """The container without its inner containers, and these by themselves, as they stand.

        Where an inner one was, the outline has `[n]`, its number.
        """
        depth = span.depth + 1
        inner = self.inner(span)
        parts: list[bytes] = []
        position = span.start
        left = self._piece_bytes + 64 * len(inner)
        for number, index in enumerate(inner):
            start, end = self._starts[depth][index], self._ends[depth][index]
            left -= start - position
            if left < 0:
                raise _too_large()
            parts += (self.raw[position:start], b"[%d]" % number)
            position = end
        if left < span.end - position:
            raise _too_large()
        parts.append(self.raw[position : span.end])
        outline = parse(b"".join(parts))
        named: Any = outline.items() if isinstance(outline, dict) else (("", v) for v in outline)
        members = [
            Member(name, Span(self._starts[depth][at], self._ends[depth][at], depth))
            for name, value in named
            if isinstance(value, list)
            for at in (inner[value[0]],)
        ]
        return outline, members

    def value(self, span: Span) -> Any:
        """The container, parsed whole."""
        if span.end - span.start > self._piece_bytes:
            raise _too_large()
        return parse(self.raw[span.start : span.end])

    def head(self, span: Span) -> tuple[dict[str, Any], dict[str, Span]]:
        """The plain values of an object, and where its containers stand."""
        outline, members = self.outline(span)
        inner = dict(members)
        return {name: value for name, value in outline.items() if name not in inner}, inner

    def each(self, span: Span) -> Iterator[tuple[str, Any]]:
        """The containers within, parsed one after the other, by their names."""
        for name, inner in self.outline(span)[1]:
            yield name, self.value(inner)


def parse(piece: bytes) -> Any:
    """A small piece of JSON; half a surrogate pair becomes U+FFFD, as in what models send."""
    try:
        return orjson.loads(piece)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(_ESCAPE.sub(_whole_characters, piece))
    except orjson.JSONDecodeError:
        raise not_json() from None


def _whole_characters(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[2] else escape[0]


def not_json() -> Invalid:
    return Invalid(_("The body is not JSON."))


def _too_large() -> Invalid:
    return Invalid(_("A part of the file is too large."))
