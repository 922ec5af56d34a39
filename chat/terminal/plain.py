"""Answers for pipes and files: the text as it comes, or the events as lines of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TextIO

import orjson

from chat.streams import events

if TYPE_CHECKING:
    from chat.streams.events import Event


class PlainScreen:
    """The model's own words, nothing added but the last line's end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._written = ""

    def show(self, event: Event) -> None:
        body = orjson.loads(event.data)
        if event.type == events.CHUNK:
            self._write(body["content"])
        elif event.type == events.SNAPSHOT:
            self._catch_up(body["content"])
        elif event.type == events.COMPLETE:
            self._catch_up(body["message"]["content"])
        if event.is_end and self._written and not self._written.endswith("\n"):
            self._write("\n")

    def stopping(self) -> None:
        """The text just ends."""

    def _catch_up(self, whole: str) -> None:
        if whole.startswith(self._written):
            self._write(whole[len(self._written) :])

    def _write(self, text: str) -> None:
        self._written += text
        self._out.write(text)
        self._out.flush()


class JsonScreen:
    """Each event as it goes over the wire, a line each."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: Event) -> None:
        # Escaped, so that a terminal or a file of any encoding can hold it.
        self._out.write(json.dumps(orjson.loads(event.data)) + "\n")
        self._out.flush()

    def stopping(self) -> None:
        """The end says so."""
