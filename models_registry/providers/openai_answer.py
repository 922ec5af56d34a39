"""What OpenAI's chat completion chunks mean, and how servers bend them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django.conf import settings

from models_registry.errors import (
    ProviderCut,
    ProviderError,
    ProviderGarbled,
    ProviderOverflow,
)
from models_registry.providers.base import (
    Finished,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from models_registry.providers.characters import Joiner, loads
from models_registry.providers.failures import reported_error
from models_registry.providers.sse import EventSplitter, ServerEvent
from models_registry.providers.tool_calls import ToolCalls

_REASONS = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# Other types are dropped whatever they hold: events are data, not orders (X8).
_EVENT_TYPES = frozenset({b"", b"message", b"error", b"data"})
_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")


class Answer:
    """One answer as it comes in.

    `feed` turns what one network read brought into events, merged by kind. What is wrong is kept
    in `failure`, not raised, so that the text before it is not lost; raise it after the events.
    """

    def __init__(self) -> None:
        self.failure: ProviderError | None = None
        self.done = False
        self.finish_reason = ""
        self._usage: Usage | None = None
        self._splitter = EventSplitter(max_bytes=settings.PROVIDER_LINE_BYTES)
        self._whole: bytearray | None = None
        self._begun = False
        self._text = _Channel(settings.PROVIDER_TEXT_BYTES)
        self._reasoning = _Channel(settings.PROVIDER_REASONING_BYTES)
        self._calls = ToolCalls()
        self._pending: list[ProviderEvent] = []

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
                for event in self._splitter.close():
                    self._take(event)
        except ProviderError as exc:
            self.failure = exc
        return self._drain()

    def finish(self) -> Iterator[ProviderEvent]:
        """The end, or an exception where the answer has none. Call it once, last."""
        if self.failure:
            raise self.failure
        yield from self._last_halves()
        if not (self.finish_reason or self.done):
            raise ProviderCut()
        if not (self.finish_reason or self._text.bytes or self._calls.count):
            raise ProviderGarbled()
        reason = _REASONS.get(self.finish_reason, "stop")
        if reason == "stop" and self._calls.count:
            reason = "tool_calls"
        yield Finished(reason, self._usage)

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
        if self.done or event.event not in _EVENT_TYPES:
            return
        data = event.data.strip()
        if data == b"[DONE]":
            self.done = True
            return
        try:
            self._take_chunk(loads(data))
        except ValueError as exc:
            if b"\n" not in data:
                raise ProviderGarbled() from exc
            # A server that forgets the blank lines between its events.
            for line in data.split(b"\n"):
                self._take(ServerEvent(event.event, line))

    def _take_whole(self, body: bytes) -> None:
        try:
            self._take_chunk(loads(body))
        except ValueError as exc:
            raise ProviderGarbled() from exc
        self.done = bool(self._pending)
        if not (self.finish_reason or self.done):
            raise ProviderGarbled()

    def _take_chunk(self, chunk: Any) -> None:
        if not isinstance(chunk, dict):
            raise ProviderGarbled()
        if error := chunk.get("error"):
            raise reported_error(error)
        if usage := _usage(chunk.get("usage")):
            self._usage = usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                self._take_choice(choice)

    def _take_choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            self._take_delta(delta)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason not in {"", "null"} and not self.finish_reason:
            self.finish_reason = reason

    def _take_delta(self, delta: dict[str, Any]) -> None:
        for name in _REASONING_FIELDS:
            if isinstance(thought := delta.get(name), str) and thought:
                self._add(self._reasoning, ReasoningDelta, thought)
                break
        content = delta.get("content")
        if isinstance(content, str):
            self._add(self._text, TextDelta, content)
        elif isinstance(content, list):
            self._take_parts(content)
        if isinstance(refusal := delta.get("refusal"), str):
            self._add(self._text, TextDelta, refusal)
        if delta.get("tool_calls") or delta.get("function_call"):
            self._pending.extend(self._calls.take(delta))

    def _take_parts(self, parts: list[Any]) -> None:
        """Content as a list of typed parts; a part that thinks holds a list of its own."""
        for part in parts:
            if not isinstance(part, dict):
                continue
            if isinstance(text := part.get("text"), str):
                self._add(self._text, TextDelta, text)
            for thought in part["thinking"] if isinstance(part.get("thinking"), list) else ():
                if isinstance(thought, dict) and isinstance(text := thought.get("text"), str):
                    self._add(self._reasoning, ReasoningDelta, text)

    def _add(
        self, channel: _Channel, kind: type[TextDelta] | type[ReasoningDelta], text: str
    ) -> None:
        if text := channel.take(text):
            self._pending.append(kind(text))

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
    """Text of one kind: whole characters, and not without end."""

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self.joiner = Joiner()
        self._max_bytes = max_bytes

    def take(self, text: str) -> str:
        text = self.joiner.feed(text)
        self.bytes += len(text) if text.isascii() else len(text.encode())
        if self.bytes > self._max_bytes:
            raise ProviderOverflow()
        return text


def _usage(value: Any) -> Usage | None:
    """Whole numbers as reported, believable or not; None without both of them."""
    if not isinstance(value, dict):
        return None
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=_detail(value, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=_detail(value, "completion_tokens_details", "reasoning_tokens"),
    )


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    number = details.get(name) if isinstance(details, dict) else None
    return number if type(number) is int else 0
