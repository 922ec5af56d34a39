"""A request in OpenAI's shape, as Anthropic's messages want it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import orjson

from models_registry.providers.base import ChatRequest

# A conversation must begin with its user; the beginning may have been left out.
_LEFT_OUT = {"type": "text", "text": "…"}
_NO_ID = re.compile(r"[^A-Za-z0-9_-]")
_DATA_URL = re.compile(r"data:(image/[a-z+.-]+);base64,", re.I)
_HIGHEST_TEMPERATURE = 1.0
_EFFORTS = {"minimal": "low"}
_NO_EFFORT = "none"


def body_of(request: ChatRequest, *, model: str, max_tokens: int) -> dict[str, Any]:
    """The body, with None for what was not asked for."""
    effort = request.options.get("reasoning_effort")
    return {
        "model": model,
        "stream": True,
        "max_tokens": max_tokens,
        "system": _system(request.messages),
        "messages": _messages(request.messages),
        "temperature": _temperature(request.temperature),
        "top_p": request.top_p,
        "stop_sequences": [each for each in request.stop or () if each.strip()] or None,
        "tools": [_tool(each) for each in request.tools or ()] or None,
        "tool_choice": _tool_choice(request) if request.tools else None,
        "thinking": _thinking(effort),
        "output_config": _output_config(effort, request.response_format),
        "metadata": _metadata(request.options.get("user")),
    }


def _system(messages: list[dict[str, Any]]) -> str | None:
    """Anthropic has one system prompt, beside the messages."""
    texts = [_text(each.get("content")) for each in messages if _is_system(each)]
    return "\n\n".join(text for text in texts if text.strip()) or None


def _messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turns that alternate; what has no content is refused there, so it is left out."""
    turns = [(_role(each), each) for each in messages if not _is_system(each)]
    made = []
    for role, group in groupby(turns, key=lambda turn: turn[0]):
        if blocks := [block for _role_, message in group for block in _blocks(message)]:
            made.append({"role": role, "content": blocks})
    if made and made[0]["role"] != "user":
        made.insert(0, {"role": "user", "content": [_LEFT_OUT]})
    return made


def _is_system(message: dict[str, Any]) -> bool:
    return message.get("role") in {"system", "developer"}


def _role(message: dict[str, Any]) -> str:
    return "assistant" if message.get("role") == "assistant" else "user"


def _blocks(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") in {"tool", "function"}:
        yield {
            "type": "tool_result",
            "tool_use_id": _id(message.get("tool_call_id")),
            "content": _text(content),
        }
        return
    for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
        if (block := _block(part)) is not None:
            yield block
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield {
            "type": "tool_use",
            "id": _id(call.get("id")),
            "name": function.get("name") or "",
            "input": _input(function.get("arguments")),
        }


def _block(part: Any) -> dict[str, Any] | None:
    if not isinstance(part, dict):
        return None
    if part.get("type") == "image_url":
        return _image(part.get("image_url"))
    text = part.get("text")
    return {"type": "text", "text": text} if isinstance(text, str) and text.strip() else None


def _image(image: Any) -> dict[str, Any] | None:
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        return None
    if data := _DATA_URL.match(url):
        source = {"type": "base64", "media_type": data[1].lower(), "data": url[data.end() :]}
    else:
        source = {"type": "url", "url": url}
    return {"type": "image", "source": source}


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _id(value: Any) -> str:
    """Another vendor's id of a call, in the letters that are allowed here."""
    return _NO_ID.sub("_", str(value or "")) or "call"


def _input(arguments: Any) -> dict[str, Any]:
    try:
        found = orjson.loads(arguments or "{}")
    except (orjson.JSONDecodeError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function") or {}
    made = {
        "name": function.get("name"),
        "description": function.get("description"),
        "input_schema": {"type": "object", **(function.get("parameters") or {})},
        "strict": function.get("strict"),
    }
    return {name: value for name, value in made.items() if value is not None}


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    choice = request.tool_choice
    one_at_a_time = request.options.get("parallel_tool_calls") is False
    made: dict[str, Any]
    if isinstance(choice, dict):
        made = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    elif choice is None and not one_at_a_time:
        return None
    else:
        made = {"type": {"required": "any", "none": "none"}.get(choice or "", "auto")}
    if one_at_a_time and made["type"] != "none":
        made["disable_parallel_tool_use"] = True
    return made


def _temperature(temperature: float | None) -> float | None:
    return None if temperature is None else min(temperature, _HIGHEST_TEMPERATURE)


def _thinking(effort: Any) -> dict[str, Any] | None:
    if not effort:
        return None
    if effort == _NO_EFFORT:
        return {"type": "disabled"}
    # Newer models keep their thoughts to themselves unless they are asked for them.
    return {"type": "adaptive", "display": "summarized"}


def _output_config(effort: Any, response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    config: dict[str, Any] = {}
    if effort and effort != _NO_EFFORT:
        config["effort"] = _EFFORTS.get(effort, effort)
    schema = ((response_format or {}).get("json_schema") or {}).get("schema")
    if schema:
        config["format"] = {"type": "json_schema", "schema": schema}
    return config or None


def _metadata(user: Any) -> dict[str, Any] | None:
    return {"user_id": user} if user else None
