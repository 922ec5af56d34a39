"""What a model must be able to do, and have room for, before it is asked: nothing is clipped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext as _

from chat.errors import ContextLengthExceeded
from common.errors import Invalid
from models_registry import abilities
from models_registry.tokens import count_prompt

if TYPE_CHECKING:
    from chat.turns.choosing import Asked
    from models_registry.providers.base import Route

# What an ability is called in a refusal, and the field that asks for it.
_NAMED = {
    abilities.VISION: ("image_url", "messages"),
    abilities.TOOLS: ("tools", "tools"),
    abilities.STOP: ("stop", "stop"),
    abilities.SEED: ("seed", "seed"),
    abilities.LOGPROBS: ("logprobs", "logprobs"),
    abilities.JSON_OBJECT: ("json_object", "response_format"),
    abilities.JSON_SCHEMA: ("json_schema", "response_format"),
}


def fitting(asked: Asked, messages: list[dict[str, Any]]) -> tuple[Asked, int]:
    """`asked` with those models alone that can do all of it, and the tokens of its prompt.

    Raises Invalid for what the model that was named cannot do, ContextLengthExceeded.
    """
    wanted = _wanted(asked.parameters, messages)
    first, *others = asked.routes
    if lacking := abilities.lacking(first, wanted):
        name, field = _NAMED[lacking]
        cannot = _("The model %(model)s does not support %(name)s.")
        raise Invalid.field(field, cannot % {"model": first.name, "name": name})
    _check_answer(first, asked.parameters.get("max_tokens"))
    beside = (asked.parameters.get("tools"), asked.parameters.get("response_format"))
    tokens = count_prompt(messages, beside, first.encoding)
    if not _has_room(first, asked, tokens):
        raise _too_long(first, asked, tokens)
    able = [
        route
        for route in others
        if not abilities.lacking(route, wanted) and _has_room(route, asked, tokens)
    ]
    return replace(asked, routes=[first, *able]), tokens


def _wanted(parameters: dict[str, Any], messages: list[dict[str, Any]]) -> list[str]:
    wanted = [
        name
        for name in (abilities.TOOLS, abilities.STOP, abilities.SEED, abilities.LOGPROBS)
        if parameters.get(name) is not None
    ]
    if form := parameters.get("response_format"):
        wanted.append(form["type"])
    if any(_is_image(part) for message in messages for part in _parts(message)):
        wanted.append(abilities.VISION)
    return wanted


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _is_image(part: dict[str, Any]) -> bool:
    return part.get("type") == "image_url"


def _check_answer(route: Route, max_tokens: int | None) -> None:
    most = route.max_output_tokens
    if max_tokens is not None and most is not None and max_tokens > most:
        too_many = _("The model %(model)s writes at most %(most)d tokens.")
        raise Invalid.field("max_tokens", too_many % {"model": route.name, "most": most})


def _window(route: Route) -> int:
    return int(route.context_window or settings.V1_UNKNOWN_CONTEXT_WINDOW)


def _has_room(route: Route, asked: Asked, tokens: int) -> bool:
    """Room for the prompt and the longest answer that was asked for, at least for one token."""
    wanted = asked.parameters.get("max_tokens") or 1
    fits = route.max_output_tokens is None or wanted <= route.max_output_tokens
    return fits and tokens + wanted <= _window(route)


def _too_long(route: Route, asked: Asked, tokens: int) -> ContextLengthExceeded:
    sentence = _(
        "The model's context length is %(window)d tokens. The request has about %(tokens)d, and "
        "asks for an answer of up to %(answer)d."
    ) % {
        "window": _window(route),
        "tokens": tokens,
        "answer": asked.parameters.get("max_tokens") or 1,
    }
    return ContextLengthExceeded(sentence, errors={"messages": [sentence]})
