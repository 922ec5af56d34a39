"""Messages in OpenAI's shape, as DashScope writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def message_of(message: dict[str, Any]) -> dict[str, Any]:
    """A part is named by its kind; text alone is a plain string."""
    made = dict(message)
    if made.get("role") == "developer":
        made["role"] = "system"
    content = made.get("content")
    if isinstance(content, list):
        made["content"] = list(_parts(content)) if has_image(message) else _joined(content)
    elif content is None:
        made["content"] = ""
    return made


def has_image(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(_is_image(part) for part in content)


def _is_image(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "image_url"


def _parts(content: list[Any]) -> Iterator[dict[str, Any]]:
    for part in content:
        if _is_image(part):
            image = part.get("image_url")
            yield {"image": image.get("url") if isinstance(image, dict) else image}
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield {"text": part["text"]}


def _joined(content: list[Any]) -> str:
    return "".join(part["text"] for part in _parts(content) if "text" in part)
