"""Which messages a model gets to see: the newest that fit, never one cut in half."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from chat.models import Message
from common.errors import Invalid
from models_registry.tokens import PER_ANSWER, PER_MESSAGE

_ROLES = {
    Message.Role.SYSTEM: "system",
    Message.Role.USER: "user",
    Message.Role.ASSISTANT: "assistant",
    Message.Role.AGENT: "assistant",
}


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier message, as far as a model needs it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Context:
    """The request's messages in OpenAI's shape, their count in tokens, and what was left out."""

    messages: list[dict[str, Any]]
    tokens: int
    left_out: int


def room_for(context_window: int | None, *, default_window: int, answer_tokens: int) -> int:
    """Tokens that the prompt may take: the window less the answer, at least half of it."""
    window = context_window or default_window
    return max(window - answer_tokens, window // 2)


def build_context(
    *,
    system_prompt: str,
    content: str | None,
    history: Iterable[Past],
    history_length: int,
    room: int,
    count: Callable[[str], int],
) -> Context:
    """System prompt, then the newest of `history` (given newest first) that fit, then `content`.

    `content` None answers the newest of `history`. Raises Invalid when what must be in it (the
    system prompt and the newest message) is longer than `room`.
    """
    used = PER_ANSWER
    last: list[dict[str, Any]] = []
    if system_prompt:
        used += count(system_prompt) + PER_MESSAGE
    if content is not None:
        used += count(content) + PER_MESSAGE
        last.append({"role": "user", "content": content})
    _demand(used <= room)
    kept: list[dict[str, Any]] = []
    seen = 0
    for past in history:
        seen += 1
        role = _ROLES.get(Message.Role(past.role))
        if role is None or not past.content:
            continue
        cost = count(past.content) + PER_MESSAGE
        if used + cost > room:
            _demand(content is not None or bool(kept))
            seen -= 1
            break
        used += cost
        kept.append({"role": role, "content": past.content})
    kept.reverse()
    lead = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return Context([*lead, *kept, *last], used, history_length - seen)


def _demand(fits: bool) -> None:
    if not fits:
        raise Invalid.field("content", _("The message is longer than the model's context window."))
