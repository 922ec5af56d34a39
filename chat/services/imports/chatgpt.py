"""ChatGPT's `conversations.json`: a list of conversations, or one of them.

A conversation's `mapping` holds nodes by id, each with `parent`, `children` and a `message` or
null. Not shown there, and so not taken here: nodes without a message, and those of weight 0 or
marked as hidden; what hangs below them hangs below the nearest one that is taken. Pictures and
files are in other files of the export: a placeholder stands for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from chat.models import Conversation, Message
from chat.models.conversations import MODEL_CHARACTERS
from chat.services.imports import drafts
from chat.services.imports.drafts import Draft, Imported
from chat.services.imports.pieces import Pieces, Span
from common.errors import Invalid

TREE = "mapping"
READ = frozenset({TREE})

_ROLES = {
    "system": Message.Role.SYSTEM,
    "user": Message.Role.USER,
    "assistant": Message.Role.ASSISTANT,
    "tool": Message.Role.TOOL,
    "function": Message.Role.TOOL,
}
_STATUSES = {
    "in_progress": Message.Status.INTERRUPTED,
    "finished_partial_completion": Message.Status.STOPPED,
}
# Looked up once: an enumeration takes its time.
_USER, _COMPLETE = Message.Role.USER, Message.Status.COMPLETE
_BACKTICKS = re.compile("`+")
_CODE = frozenset({"code", "execution_output"})
_THOUGHTS = frozenset({"thoughts", "reasoning_recap"})
_THOUGHT_NODES = 20  # of so many in a row the nearest to the answer are kept
_PLACEHOLDERS = {"image": _("[Image]"), "audio": _("[Audio]"), "video": _("[Video]")}


@dataclass(slots=True)
class _Node:
    """A node that was read. Without a draft nothing is taken of it but its place and thoughts."""

    parent: str | None
    children: list[str]
    draft: Draft | None
    thoughts: str = ""


def conversations(pieces: Pieces) -> list[Span]:
    """Where they stand. Raises Invalid for a list in which there are none."""
    whole = pieces.whole()
    if not pieces.is_list(whole):
        return [whole]
    found = [span for _name, span in pieces.outline(whole)[1] if not pieces.is_list(span)]
    if not found:
        raise Invalid(_("There are no conversations in this file."))
    return found


def read(pieces: Pieces, head: dict[str, Any], inner: dict[str, Span]) -> Imported:
    """One of them, of which the plain values are known and where its containers stand."""
    own_id = drafts.key(head.get("conversation_id")) or drafts.key(head.get("id"))
    title = drafts.title(head.get("title"))
    source = Conversation.TitleSource
    nodes = dict(_nodes(pieces, inner[TREE])) if TREE in inner else {}
    messages, newest = _linked(nodes, drafts.key(head.get("current_node")))
    return Imported(
        key=f"chatgpt:{own_id}" if own_id else "",
        own_id="",
        title=title,
        title_source=source.AUTO if title else source.NONE,
        archived=head.get("is_archived") is True,
        pinned=head.get("is_starred") is True,
        created_at=drafts.moment(head.get("create_time")),
        updated_at=drafts.moment(head.get("update_time")),
        newest=newest,
        messages=messages,
    )


def _nodes(pieces: Pieces, span: Span) -> Iterator[tuple[str, _Node]]:
    is_list = pieces.is_list(span)
    for name, value in pieces.each(span):
        if isinstance(value, dict) and not is_list:
            node_id = drafts.key(name)
            parent, children = value.get("parent"), value.get("children")
            yield (
                node_id,
                _node(
                    value.get("message"),
                    name=node_id,
                    parent=drafts.key(parent) if isinstance(parent, str) else None,
                    children=[drafts.key(each) for each in children if isinstance(each, str)]
                    if isinstance(children, list)
                    else [],
                ),
            )


def _node(message: Any, *, name: str, parent: str | None, children: list[str]) -> _Node:
    if not isinstance(message, dict):
        return _Node(parent, children, None)
    content, metadata, author = [
        found if isinstance(found := message.get(part), dict) else {}
        for part in ("content", "metadata", "author")
    ]
    if content.get("content_type") in _THOUGHTS:
        return _Node(parent, children, None, _thoughts(content))
    is_hidden = metadata.get("is_visually_hidden_from_conversation") is True
    weight = message.get("weight")
    if is_hidden or (weight == 0 and not isinstance(weight, bool)):
        return _Node(parent, children, None)
    said = "\n\n".join([each for each in (_said(content), _files(metadata)) if each])
    if not said.strip():
        return _Node(parent, children, None)
    role = author.get("role")
    status = message.get("status")
    draft = Draft(
        key=name,
        parent=None,
        role=_ROLES.get(role, _USER) if isinstance(role, str) else _USER,
        content=drafts.text(said),
        at=drafts.moment(message.get("create_time")),
        status=_STATUSES.get(status, _COMPLETE) if isinstance(status, str) else _COMPLETE,
        model=drafts.line(metadata.get("model_slug"), MODEL_CHARACTERS),
    )
    return _Node(parent, children, draft)


def _linked(nodes: dict[str, _Node], current: str) -> tuple[list[Draft], str | None]:
    """The drafts, each under the nearest one above it; thoughts go to the answer below them. And
    the draft that is nearest to `current`, the node that the conversation was left at."""
    told = {child: name for name, node in nodes.items() for child in node.children}
    above = {
        name: node.parent if node.parent in nodes else told.get(name)
        for name, node in nodes.items()
    }
    found: dict[str, str | None] = {}
    taken: list[Draft] = []
    for name, node in nodes.items():
        if node.draft is not None:
            node.draft.parent = _nearest(nodes, above, above[name], found)
            if node.draft.role == Message.Role.ASSISTANT:
                node.draft.reasoning = _thoughts_above(nodes, above, above[name])
            taken.append(node.draft)
    return taken, _nearest(nodes, above, current if current in nodes else None, found)


def _nearest(
    nodes: dict[str, _Node],
    above: dict[str, str | None],
    name: str | None,
    found: dict[str, str | None],
) -> str | None:
    """The first node from `name` upwards that is taken. `found` remembers the way past those that
    are not, however many messages share it."""
    way: set[str] = set()
    while name is not None and nodes[name].draft is None and name not in way:
        if name in found:
            name = found[name]
            break
        way.add(name)
        name = above[name]
    end = None if name in way else name
    found.update(dict.fromkeys(way, end))
    return end


def _thoughts_above(nodes: dict[str, _Node], above: dict[str, str | None], name: str | None) -> str:
    lines: list[str] = []
    for _step in range(_THOUGHT_NODES):
        if name is None or nodes[name].draft is not None:
            break
        lines.insert(0, nodes[name].thoughts)
        name = above[name]
    return drafts.text("\n\n".join(filter(None, lines)), settings.CONTENT_CHARACTERS)


def _said(content: dict[str, Any]) -> str:
    kind, parts = content.get("content_type"), content.get("parts")
    if isinstance(parts, list):
        return "\n\n".join([said for each in parts if (said := _part(each))])
    said = next(
        (
            found
            for name in ("text", "result", "content", "user_instructions", "model_set_context")
            if isinstance(found := content.get(name), str) and found.strip()
        ),
        "",
    )
    if said and kind in _CODE:
        language = content.get("language")
        return _fenced(said, language if isinstance(language, str) else "")
    return said


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part if part.strip() else ""
    if not isinstance(part, dict):
        return ""
    if isinstance(said := part.get("text"), str):
        return said
    kind = part.get("content_type")
    stands_for = (name for name in _PLACEHOLDERS if isinstance(kind, str) and name in kind)
    return str(_PLACEHOLDERS.get(next(stands_for, ""), ""))


def _files(metadata: dict[str, Any]) -> str:
    """A placeholder for each file that came with a message; pictures have theirs in the text."""
    found = metadata.get("attachments")
    lines: list[str] = []
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            kind = each.get("mime_type") or each.get("mimeType")
            if not (isinstance(kind, str) and kind.startswith("image/")):
                lines.append(_("[File: %(name)s]") % {"name": each["name"][:200]})
    return "\n".join(lines)


def _thoughts(content: dict[str, Any]) -> str:
    found = content.get("thoughts")
    lines = [
        said
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict)
        for said in (each.get("summary"), each.get("content"))
        if isinstance(said, str) and said.strip()
    ]
    return drafts.text("\n\n".join(lines), settings.CONTENT_CHARACTERS)


def _fenced(code: str, language: str) -> str:
    """As a block of code that nothing in it can close."""
    longest = max(map(len, _BACKTICKS.findall(code)), default=0)
    fence = "`" * max(3, longest + 1)
    name = language if language.isalnum() and language != "unknown" else ""
    return f"{fence}{name}\n{code}\n{fence}"
