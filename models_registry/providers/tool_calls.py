"""Tool calls in pieces, brought into one form.

Servers leave out the index, give every parallel call the index 0, repeat name and id in each
piece, or send the arguments as an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from django.conf import settings

from common.text import beginning, clean
from models_registry.errors import ProviderOverflow
from models_registry.providers.base import ToolCallDelta


class ToolCalls:
    """The calls of one answer so far."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._by_upstream_index: dict[int, int] = {}
        self._named: set[int] = set()
        self._room = settings.PROVIDER_ARGUMENT_BYTES

    @property
    def count(self) -> int:
        return len(self._ids)

    def take(self, delta: dict[str, Any]) -> Iterator[ToolCallDelta]:
        """The calls in a delta or a whole message; ProviderOverflow after what still fits."""
        pieces = delta.get("tool_calls")
        if not isinstance(pieces, list):
            pieces = [{"index": 0, "function": delta.get("function_call")}]
        for piece in pieces:
            function = piece.get("function") if isinstance(piece, dict) else None
            if isinstance(function, dict):
                yield from self._piece(piece, function)

    def _piece(self, piece: dict[str, Any], function: dict[str, Any]) -> Iterator[ToolCallDelta]:
        call_id, name = _text(piece.get("id")), _text(function.get("name"))
        index, is_new = self._index(piece.get("index"), call_id)
        if is_new:
            self._ids[index] = call_id or f"call_{index}"
        first_name = bool(name) and index not in self._named
        if first_name:
            self._named.add(index)
        arguments = _arguments(function.get("arguments"))
        fitting = beginning(arguments, most_bytes=self._room)
        self._room -= len(fitting.encode())
        yield ToolCallDelta(
            index=index,
            id=self._ids[index] if is_new else "",
            name=name if first_name else "",
            arguments=fitting,
        )
        if len(fitting) < len(arguments):
            raise ProviderOverflow()

    def _index(self, upstream: Any, call_id: str) -> tuple[int, bool]:
        """Our number of this call, and whether it is its first piece."""
        if call_id in self._ids:
            return self._ids.index(call_id), False
        number = upstream if type(upstream) is int else None
        known = self._by_upstream_index.get(number) if number is not None else None
        if known is None and number is None and not call_id and self._ids:
            known = len(self._ids) - 1
        # Another id under a known index is another call.
        if known is not None and not call_id:
            return known, False
        if len(self._ids) == settings.PROVIDER_TOOL_CALLS:
            raise ProviderOverflow()
        self._ids.append("")
        index = len(self._ids) - 1
        if number is not None:
            self._by_upstream_index[number] = index
        return index, True


def _arguments(value: Any) -> str:
    return orjson.dumps(value).decode() if isinstance(value, dict) else _text(value)


def _text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""
