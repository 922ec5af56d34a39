"""What OpenAI's chat completion chunks mean, and how servers bend them."""

from __future__ import annotations

from typing import Any

from models_registry.providers.answer import Answer, whole_number
from models_registry.providers.base import Usage
from models_registry.providers.failures import reported_error

_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")


class OpenAIAnswer(Answer):
    event_types = frozenset({b"", b"message", b"error", b"data"})
    reasons = {
        "length": "length",
        "max_tokens": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
    }

    def take_chunk(self, chunk: dict[str, Any]) -> None:
        if error := chunk.get("error"):
            raise reported_error(error)
        # Nearly all chunks have none, or null.
        if (reported := chunk.get("usage")) and (usage := _usage(reported)):
            self.usage = usage
        self.take_choices(chunk.get("choices"))

    def take_choices(self, choices: Any) -> None:
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                delta = choice.get("delta") or choice.get("message")
                if isinstance(delta, dict):
                    self._take_delta(delta)
                if logprobs := choice.get("logprobs"):
                    self.add_logprobs(logprobs)
                self.finish_for(choice.get("finish_reason"))

    def _take_delta(self, delta: dict[str, Any]) -> None:
        for name in _REASONING_FIELDS:
            if isinstance(thought := delta.get(name), str) and thought:
                self.add_reasoning(thought)
                break
        content = delta.get("content")
        if isinstance(content, list):
            self._take_parts(content)
        else:
            self.add_text(content)
        self.add_text(delta.get("refusal"))
        if delta.get("tool_calls") or delta.get("function_call"):
            self.add_calls(delta)

    def _take_parts(self, parts: list[Any]) -> None:
        """Content as a list of typed parts; a part that thinks holds a list of its own."""
        for part in parts:
            if not isinstance(part, dict):
                continue
            self.add_text(part.get("text"))
            for thought in part["thinking"] if isinstance(part.get("thinking"), list) else ():
                if isinstance(thought, dict):
                    self.add_reasoning(thought.get("text"))


def _usage(value: Any) -> Usage | None:
    """Whole numbers as reported, believable or not; None without both of them."""
    prompt = whole_number(value, "prompt_tokens")
    completion = whole_number(value, "completion_tokens")
    if prompt is None or completion is None:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=whole_number(value, "prompt_tokens_details", "cached_tokens") or 0,
        reasoning_tokens=whole_number(value, "completion_tokens_details", "reasoning_tokens") or 0,
    )
