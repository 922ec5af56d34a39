"""What a reader has of a turn."""

from __future__ import annotations

from typing import Any


def text_of(found: list[dict[str, Any]]) -> str:
    """What a reader has after these events."""
    text = ""
    for event in found:
        if event["type"] == "snapshot":
            text = event["content"]
        elif event["type"] == "chat_chunk":
            text += event["content"]
    return text
