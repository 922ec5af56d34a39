"""An answer as it comes in: bytes of a stream, or of one whole body, become events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, ClassVar

from django.conf import settings

from common.text import beginning
from models_registry.errors import (
    ProviderCut,
    ProviderError,
    ProviderGarbled,
    ProviderOverflow,
)
from models_registry.providers.base import (
    Finished,
    LogprobsDelta,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from models_registry.providers.characters import Joiner, loads
from models_registry.providers.logprobs import Logprobs
from models_registry.providers.sse import EventSplitter, ServerEvent
from models_registry.providers.tool_calls import ToolCalls


class Answer(ABC):
    """One answer of any protocol; a protocol says what its chunks mean.

    `feed` turns what one network read brought into events, merged by kind. What is wrong is kept
    in `failure`, not raised, so that the text before it is not lost; raise it after the events.
    """

    # Other types are dropped whatever they hold: events are data, not orders (X8).
    event_types: ClassVar[frozenset[bytes]]
    # The vendor's reasons to finish that are not "stop", and ours.
    reasons: ClassVar[Mapping[str, str]]

    def __init__(self) -> None:
        self.failure: ProviderError | None = None
        self.done = False
        self.finish_reason = ""
        self.usage: Usage | None = None
        self.calls = ToolCalls()
        self._logprobs = Logprobs()
        self._splitter = EventSplitter(max_bytes=settings.PROVIDER_LINE_BYTES)
        self._whole: bytearray | None = None
        self._begun = False
        self._text = _Channel(settings.PROVIDER_TEXT_BYTES)
        self._reasoning = _Channel(settings.PROVIDER_REASONING_BYTES)
        self._pending: list[ProviderEvent] = []

    @abstractmethod
    def take_chunk(self, chunk: dict[str, Any]) -> None:
        """Take the JSON of one event or of a whole body. Raises ProviderError."""

    @property
    def ended(self) -> bool:
        """Nothing more is needed; usage or [DONE] may still follow."""
        return bool(self.done or self.finish_reason or self.failure)

    def feed(self, chunk: bytes) -> list[ProviderEvent]:
        try:
            self._read(chunk)
        except ProviderError as exc:
            self.failure = exc
        return self._drain()

    def close(self) -> list[ProviderEvent]:
        """The connection has ended: the events that were still open."""
        if self.done or self.failure:
            return []
        try:
            if self._whole is not None:
                self._take_whole(bytes(self._whole))
            else:
                self._take_last()
        except ProviderError as exc:
            self.failure = exc
        return self._drain()

    def finish(self) -> Iterator[ProviderEvent]:
        """The end, or an exception where the answer has none. Call it once, last."""
        if self.failure:
            raise self.failure
        if not (self.finish_reason or self.done):
            raise ProviderCut()
        yield from self._last_halves()
        if not (self.finish_reason or self._text.bytes or self.calls.count):
            raise ProviderGarbled()
        reason = self.reasons.get(self.finish_reason, "stop")
        if reason == "stop" and self.calls.count:
            reason = "tool_calls"
        yield Finished(reason, self.usage)

    def _read(self, chunk: bytes) -> None:
        if not self._begun and (first := chunk.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]):
            self._begun = True
            if first == b"<":
                raise ProviderGarbled()
            if first in b"{[":
                # Not a stream: an error, or the whole answer at once.
                self._whole = bytearray()
        if self._whole is None:
            for event in self._splitter.feed(chunk):
                self._take(event)
            if self._splitter.overflowed:
                raise ProviderOverflow()
            return
        self._whole += chunk
        if len(self._whole) > settings.PROVIDER_LINE_BYTES:
            raise ProviderOverflow()

    def _take(self, event: ServerEvent) -> None:
        if self.done or event.event not in self.event_types:
            return
        data = event.data.strip()
        if data == b"[DONE]":
            self.done = True
            return
        try:
            self._take_json(data)
        except ValueError as exc:
            if b"\n" not in data:
                raise ProviderGarbled() from exc
            # A server that forgets the blank lines between its events.
            for line in data.split(b"\n"):
                self._take(ServerEvent(event.event, line))

    def _take_last(self) -> None:
        """The event that was still open. If the connection ended in it, there is none (F12)."""
        try:
            for event in self._splitter.close():
                self._take(event)
        except ProviderGarbled as exc:
            if not self.finish_reason:
                raise ProviderCut() from exc

    def _take_whole(self, body: bytes) -> None:
        try:
            self._take_json(body)
        except ValueError as exc:
            raise ProviderGarbled() from exc
        self.done = bool(self._pending)
        if not (self.finish_reason or self.done):
            raise ProviderGarbled()

    def _take_json(self, data: bytes) -> None:
        chunk = loads(data)
        if not isinstance(chunk, dict):
            raise ProviderGarbled()
        self.take_chunk(chunk)

    def add_text(self, text: Any) -> None:
        """Text of the answer; anything but text is passed over."""
        self._add(TextDelta, self._text, text)

    def add_reasoning(self, text: Any) -> None:
        self._add(ReasoningDelta, self._reasoning, text)

    def add_calls(self, delta: dict[str, Any]) -> None:
        """Tool calls in OpenAI's shape."""
        for piece in self.calls.take(delta):  # one by one: those before an overflow are kept
            self._pending.append(piece)

    def add_logprobs(self, value: Any) -> None:
        """A choice's `logprobs` in OpenAI's shape."""
        if entries := self._logprobs.take(value):
            self._pending.append(LogprobsDelta(entries))
        if self._logprobs.is_full:
            raise ProviderOverflow()

    def finish_for(self, reason: Any) -> None:
        """The vendor's word for why the answer ends; the first one counts."""
        if isinstance(reason, str) and reason not in {"", "null"} and not self.finish_reason:
            self.finish_reason = reason

    def _add(self, kind: type[TextDelta | ReasoningDelta], channel: _Channel, text: Any) -> None:
        if not isinstance(text, str):
            return
        if text := channel.take(text):
            self._pending.append(kind(text))
        if channel.is_full:
            raise ProviderOverflow()

    def _drain(self) -> list[ProviderEvent]:
        """What is pending, each run of text in one piece."""
        pending, self._pending = self._pending, []
        if len(pending) < 2:  # noqa: PLR2004 as nearly always
            return pending
        merged: list[ProviderEvent] = []
        for kind, run in groupby(pending, type):
            if kind is TextDelta or kind is ReasoningDelta:
                pieces = [each.text for each in run if isinstance(each, TextDelta | ReasoningDelta)]
                merged.append(kind("".join(pieces)))
            else:
                merged.extend(run)
        return merged

    def _last_halves(self) -> Iterator[ProviderEvent]:
        if text := self._reasoning.joiner.close():
            yield ReasoningDelta(text)
        if text := self._text.joiner.close():
            yield TextDelta(text)


class _Channel:
    """Text of one kind: whole characters, and not without end.

    `is_full` says that more came than fits; what fits is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self.is_full = False
        self.joiner = Joiner()
        self._max_bytes = max_bytes

    def take(self, text: str) -> str:
        text = self.joiner.feed(text)
        room = self._max_bytes - self.bytes
        self.bytes += len(text) if text.isascii() else len(text.encode())
        if self.bytes > self._max_bytes:
            self.is_full = True
            return beginning(text, most_bytes=room)
        return text


def whole_number(value: Any, *path: str) -> int | None:
    """The whole number at `path` inside an object, believable or not."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if type(value) is int else None
