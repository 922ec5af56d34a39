"""What the events of Anthropic's messages mean."""

from __future__ import annotations

from typing import Any

from models_registry.providers.answer import Answer, whole_number
from models_registry.providers.base import Usage
from models_registry.providers.failures import reported_error

_KINDS = frozenset(
    {
        "error",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)


class AnthropicAnswer(Answer):
    event_types = frozenset({b"", *(kind.encode() for kind in _KINDS)})
    reasons = {
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    }

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, Any] = {}
        self._without_arguments: set[Any] = set()

    def take_chunk(self, chunk: dict[str, Any]) -> None:
        kind = chunk.get("type")
        if kind == "content_block_delta":
            self._take_delta(chunk.get("index"), chunk.get("delta"))
        elif kind == "content_block_start":
            self._take_block(chunk.get("index"), chunk.get("content_block"))
        elif kind == "content_block_stop":
            self._end_block(chunk.get("index"))
        elif kind == "message_start":
            self._take_message(chunk.get("message"))
        elif kind == "message":
            # The whole answer at once.
            self._take_message(chunk)
        self._take_end(kind, chunk)

    def _take_message(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        if isinstance(counts := message.get("usage"), dict):
            self._counts |= counts
        blocks = message.get("content")
        for index, block in enumerate(blocks if isinstance(blocks, list) else ()):
            self._take_block(index, block)
            self._end_block(index)

    def _take_block(self, index: Any, block: Any) -> None:
        if not isinstance(block, dict):
            return
        self.add_text(block.get("text"))
        self.add_reasoning(block.get("thinking"))
        if block.get("type") == "tool_use":
            # A stream begins with an empty input, and the fragments follow.
            self._take_call(index, block.get("input") or None, block)

    def _take_delta(self, index: Any, delta: Any) -> None:
        if not isinstance(delta, dict):
            return
        kind = delta.get("type")
        if kind == "text_delta":
            self.add_text(delta.get("text"))
        elif kind == "thinking_delta":
            self.add_reasoning(delta.get("thinking"))
        elif kind == "input_json_delta":
            self._take_call(index, delta.get("partial_json"), {})

    def _end_block(self, index: Any) -> None:
        if index in self._without_arguments:
            self._take_call(index, "{}", {})

    def _take_call(self, index: Any, arguments: Any, block: dict[str, Any]) -> None:
        if arguments:
            self._without_arguments.discard(index)
        else:
            self._without_arguments.add(index)
        function = {"name": block.get("name"), "arguments": arguments}
        self.add_calls(
            {"tool_calls": [{"index": index, "id": block.get("id"), "function": function}]}
        )

    def _take_end(self, kind: Any, chunk: dict[str, Any]) -> None:
        if kind == "error" or "error" in chunk:
            raise reported_error(chunk.get("error"))
        if kind == "message_stop":
            self.done = True
        elif kind in {"message_delta", "message"}:
            delta = chunk if kind == "message" else chunk.get("delta")
            if isinstance(delta, dict):
                self.finish_for(delta.get("stop_reason"))
            self._take_counts(chunk.get("usage"))

    def _take_counts(self, counts: Any) -> None:
        # The beginning names a first few tokens of the answer; only the end counts them all.
        if whole_number(counts, "output_tokens") is not None:
            self._counts |= {name: value for name, value in counts.items() if value is not None}
            self.usage = _usage(self._counts)


def _usage(counts: dict[str, Any]) -> Usage | None:
    """Prompt tokens as others count them: those written to and read from the cache are in it."""
    fresh = whole_number(counts, "input_tokens")
    if fresh is None:
        return None
    cached = whole_number(counts, "cache_read_input_tokens") or 0
    return Usage(
        prompt_tokens=fresh + cached + (whole_number(counts, "cache_creation_input_tokens") or 0),
        completion_tokens=whole_number(counts, "output_tokens") or 0,
        cached_tokens=cached,
        reasoning_tokens=whole_number(counts, "output_tokens_details", "thinking_tokens") or 0,
    )
