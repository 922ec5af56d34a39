"""Files to import: our own, and ChatGPT's as its export is documented to be."""

from __future__ import annotations

import json
import random
from typing import Any
from uuid import UUID

from chat.models import Conversation, Message
from chat.services import exports

# What a message is known by where ids are new: the rest is compared as it was exported.
_NEW_HERE = {"id", "parent_id"}
_EPOCH = 1_700_000_000.25


def exported(*conversations: Conversation) -> bytes:
    return b"".join(exports.as_json(conversations))


def own(*conversations: dict[str, Any]) -> bytes:
    """Parley's own file."""
    return json.dumps(
        {"format": "parley.conversations", "version": 1, "conversations": list(conversations)}
    ).encode()


def talk(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A conversation of our own file."""
    return {"id": "0190-talk", "title": "Talk", "messages": list(messages)} | fields


def said(name: str, content: str = "", **fields: Any) -> dict[str, Any]:
    return {"id": name, "role": "user", "content": content or name} | fields


def shape(raw: bytes) -> list[dict[str, Any]]:
    """What an export says, with places in its list of messages instead of ids."""
    found = []
    for conversation in json.loads(raw)["conversations"]:
        places = {each["id"]: place for place, each in enumerate(conversation["messages"])}
        messages = [
            {name: value for name, value in each.items() if name not in _NEW_HERE}
            | {"parent": places.get(each["parent_id"])}
            for each in conversation["messages"]
        ]
        found.append({**conversation, "id": None, "messages": messages})
    return found


def tree(conversation_id: UUID | str) -> list[tuple[str, str, str | None]]:
    """Role, text and the parent's text of every message, in their order."""
    rows = Message.objects.filter(conversation_id=conversation_id).order_by("position")
    return [
        (each.role, each.content, each.parent.content if each.parent else None)
        for each in rows.select_related("parent")
    ]


# -- ChatGPT ---------------------------------------------------------------------------------
def node(
    name: str,
    parent: str | None,
    role: str | None = None,
    *parts: Any,
    at: float | None = _EPOCH,
    kind: str = "text",
    weight: float = 1.0,
    **metadata: Any,
) -> dict[str, Any]:
    """A node of `mapping`; without a role one that holds no message."""
    message: dict[str, Any] | str | None = role and {
        "id": name,
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": at,
        "update_time": None,
        "content": {"content_type": kind, "parts": list(parts)},
        "status": "finished_successfully",
        "end_turn": True,
        "weight": weight,
        "metadata": metadata,
        "recipient": "all",
        "channel": None,
    }
    return {"id": name, "message": message, "parent": parent, "children": []}


def picture() -> dict[str, Any]:
    return {
        "content_type": "image_asset_pointer",
        "asset_pointer": "file-service://file-abc",
        "size_bytes": 1_000,
        "width": 10,
        "height": 10,
        "fovea": None,
        "metadata": None,
    }


def chatgpt(
    *nodes: dict[str, Any], name: str = "c-1", current: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A conversation of `conversations.json`."""
    mapping = {each["id"]: each for each in nodes}
    for each in nodes:
        if each["parent"] in mapping:
            mapping[each["parent"]]["children"].append(each["id"])
    return {
        "title": "From ChatGPT",
        "create_time": _EPOCH,
        "update_time": _EPOCH + 60,
        "mapping": mapping,
        "moderation_results": [],
        "current_node": current or nodes[-1]["id"],
        "plugin_ids": None,
        "conversation_id": name,
        "conversation_template_id": None,
        "gizmo_id": None,
        "is_archived": False,
        "safe_urls": [],
        "default_model_slug": "auto",
        "id": name,
    } | fields


def random_chatgpt(seed: int, messages: int) -> tuple[dict[str, Any], dict[str, str | None]]:
    """A conversation with branches, pictures, system nodes and hidden ones; and what is to arrive:
    the text of each message, with that of the message it hangs below."""
    chance = random.Random(seed)  # noqa: S311 a test's
    nodes = [
        node("root", None),
        node("system", "root", "system", "", at=None, weight=0.0, is_visually_hidden=True),
    ]
    texts: dict[str, str | None] = {"root": None, "system": None}
    arrives: dict[str, str | None] = {}
    ends = ["system"]
    for number in range(messages):
        parent = chance.choice(ends[-6:])
        name, text = f"n{number}", f"text {seed}-{number} 你好"
        role = "assistant" if number % 2 else "user"
        at = _EPOCH + number
        kind = chance.choice(["plain", "plain", "picture", "hidden", "tool", "system"])
        if kind == "hidden":
            nodes.append(
                node(name, parent, "system", "x", at=at, is_visually_hidden_from_conversation=True)
            )
            texts[name] = texts[parent]
        else:
            parts: list[Any] = [text]
            if kind == "picture":
                parts, text = [picture(), text], f"[Image]\n\n{text}"
            if kind in {"tool", "system"}:
                role = kind
            content = "multimodal_text" if kind == "picture" else "text"
            nodes.append(node(name, parent, role, *parts, at=at, kind=content))
            arrives[text] = texts[parent]
            texts[name] = text
        ends.append(name)
    chance.shuffle(nodes)
    return chatgpt(*nodes, name=f"c-{seed}", current=ends[-1]), arrives
