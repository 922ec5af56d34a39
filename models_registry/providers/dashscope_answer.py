"""What the events of DashScope's generation mean."""

from __future__ import annotations

from typing import Any

from models_registry.providers.answer import whole_number
from models_registry.providers.base import Usage
from models_registry.providers.failures import reported_error
from models_registry.providers.openai_answer import OpenAIAnswer


class DashScopeAnswer(OpenAIAnswer):
    """OpenAI's choices inside `output`; an error is an event like any other (`code`, `message`)."""

    event_types = frozenset({b"", b"result", b"error", b"message", b"data"})

    def take_chunk(self, chunk: dict[str, Any]) -> None:
        output = chunk.get("output")
        if chunk.get("code") or (chunk.get("error") and not output):
            raise reported_error(chunk.get("error") or chunk)
        if usage := _usage(chunk.get("usage")):
            self.usage = usage
        if isinstance(output, dict):
            self.take_choices(output.get("choices"))
            # Older models answer without choices.
            self.add_text(output.get("text"))
            self.finish_for(output.get("finish_reason"))


def _usage(value: Any) -> Usage | None:
    """Whole numbers as reported, believable or not; None without both of them."""
    prompt, completion = whole_number(value, "input_tokens"), whole_number(value, "output_tokens")
    if prompt is None or completion is None:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=whole_number(value, "prompt_tokens_details", "cached_tokens") or 0,
        reasoning_tokens=whole_number(value, "output_tokens_details", "reasoning_tokens") or 0,
    )
