"""Parley's own export, as `chat.services.exports` writes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from chat.models import Conversation, Message
from chat.models.conversations import MODEL_CHARACTERS
from chat.parameters import known_parameters
from chat.services.imports import drafts
from chat.services.imports.drafts import Draft, Imported
from chat.services.imports.pieces import Pieces, Span
from common.errors import Invalid
from common.money import billionths

FORMAT = "parley.conversations"
VERSION = 1
TREE = "messages"
READ = frozenset({TREE, "parameters"})

# The desk's people speak in tickets alone; to pass for one of them is nobody's.
_ROLES = frozenset(Message.Role.values) - {Message.Role.AGENT}
_ENDED = frozenset(Message.Status.values) - Message.BEING_WRITTEN
_RATINGS = frozenset(Message.Rating.values)
# Looked up once: an enumeration takes its time.
_USER, _INTERRUPTED = Message.Role.USER, Message.Status.INTERRUPTED
# No more than ten thousand for one message: the sum of a file's still fits into its column.
_MONEY = re.compile(r"\d{1,4}(\.\d{1,9})?", re.ASCII)
_TOOL_CALLS = 64
_SOURCES = 100


def conversations(pieces: Pieces) -> list[Span]:
    """Where they stand. Raises Invalid when this is no export, or of a version yet to come."""
    head, inner = pieces.head(pieces.whole())
    if head.get("format") != FORMAT:
        raise Invalid.field(
            "format", _("This is neither Parley's own export nor ChatGPT's conversations.json.")
        )
    if head.get("version") != VERSION or isinstance(head["version"], bool):
        raise Invalid.field("version", _("This version of the format is not known here."))
    found = inner.get("conversations")
    if found is None or not pieces.is_list(found):
        raise Invalid.field("conversations", _("This must be a list."))
    return [span for _name, span in pieces.outline(found)[1] if not pieces.is_list(span)]


def read(pieces: Pieces, head: dict[str, Any], inner: dict[str, Span]) -> Imported:
    """One of them, of which the plain values are known and where its containers stand."""
    own_id = drafts.key(head.get("id"))
    title = drafts.title(head.get("title"))
    return Imported(
        key=f"parley:{own_id}" if own_id else "",
        own_id=own_id,
        title=title,
        title_source=_title_source(title, head.get("title_source")),
        model=drafts.line(head.get("model"), MODEL_CHARACTERS),
        system_prompt=drafts.line(head.get("system_prompt"), settings.SYSTEM_PROMPT_CHARACTERS),
        parameters=_parameters(pieces, inner.get("parameters")),
        archived=head.get("archived") is True,
        pinned=head.get("pinned") is True,
        created_at=drafts.moment(head.get("created_at")),
        updated_at=drafts.moment(head.get("updated_at")),
        messages=[
            _message(value)
            for _name, value in (pieces.each(inner[TREE]) if TREE in inner else ())
            if isinstance(value, dict)
        ],
    )


def _title_source(title: str, value: Any) -> str:
    source = Conversation.TitleSource
    if not title:
        return source.NONE
    return source.AUTO if value == source.AUTO else source.USER


def _parameters(pieces: Pieces, span: Span | None) -> dict[str, Any]:
    value = pieces.value(span) if span else {}
    return known_parameters(_sound(value))[0] if isinstance(value, dict) else {}


def _message(value: dict[str, Any]) -> Draft:
    parent = value.get("parent_id")
    draft = Draft(
        key=drafts.key(value.get("id")),
        parent=drafts.key(parent) if isinstance(parent, str) else None,
        role=drafts.choice(value.get("role"), _ROLES, _USER),
        content=drafts.text(value.get("content")),
        at=drafts.moment(value.get("created_at")),
        position=drafts.number(value.get("position")),
        ended_position=drafts.number(value.get("ended_position")),
        # What was being written when it was exported has no turn here that would end it.
        status=drafts.choice(value.get("status", "complete"), _ENDED, _INTERRUPTED),
        seconds=drafts.seconds(value.get("seconds")),
    )
    for name, take in _MORE.items():
        if found := value.get(name):  # most messages have few of them
            take(draft, found)
    return draft


def _take_reasoning(draft: Draft, value: Any) -> None:
    draft.reasoning = drafts.text(value)


def _take_model(draft: Draft, value: Any) -> None:
    draft.model = drafts.line(value, MODEL_CHARACTERS)


def _take_fallback(draft: Draft, value: Any) -> None:
    draft.fallback = value is True


def _take_usage(draft: Draft, value: Any) -> None:
    if isinstance(value, dict):
        draft.prompt_tokens = drafts.number(value.get("prompt_tokens"))
        draft.completion_tokens = drafts.number(value.get("completion_tokens"))
        draft.cost = _cost(value.get("cost"))
        draft.usage_estimated = value.get("estimated") is True


def _take_context(draft: Draft, value: Any) -> None:
    left_out = drafts.number(value.get("messages_left_out")) if isinstance(value, dict) else None
    if left_out is not None:
        is_summarized = value.get("summarized") is True
        draft.context = {"messages_left_out": left_out, "summarized": is_summarized}


def _take_error(draft: Draft, value: Any) -> None:
    if isinstance(value, dict):
        draft.error_code = drafts.text(value.get("code"), 32)
        draft.error_detail = drafts.text(value.get("detail"), 300)


def _take_edited_at(draft: Draft, value: Any) -> None:
    draft.edited_at = drafts.moment(value)


def _take_feedback(draft: Draft, value: Any) -> None:
    if isinstance(value, dict):
        draft.rating = drafts.choice(value.get("rating"), _RATINGS, "")
        if draft.rating:
            draft.comment = drafts.text(value.get("comment"), settings.COMMENT_CHARACTERS)


def _take_tool_calls(draft: Draft, value: Any) -> None:
    draft.tool_calls = _objects(value, _tool_call, _TOOL_CALLS)


def _take_sources(draft: Draft, value: Any) -> None:
    draft.sources = _objects(value, _source, _SOURCES)


_MORE: dict[str, Callable[[Draft, Any], None]] = {
    "reasoning": _take_reasoning,
    "model": _take_model,
    "fallback": _take_fallback,
    "usage": _take_usage,
    "context": _take_context,
    "error": _take_error,
    "edited_at": _take_edited_at,
    "feedback": _take_feedback,
    "tool_calls": _take_tool_calls,
    "sources": _take_sources,
}


def _cost(value: Any) -> int | None:
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        return None
    return billionths(value)


def _objects(value: Any, read_one: Any, most: int) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else []
    return [read_one(each) for each in found[:most] if isinstance(each, dict)]


def _tool_call(value: dict[str, Any]) -> dict[str, Any]:
    result, status = value.get("result"), value.get("status")
    return {
        "id": drafts.text(value.get("id"), 200),
        "name": drafts.text(value.get("name"), 200),
        "arguments": drafts.text(value.get("arguments")),
        "result": drafts.text(result) if isinstance(result, str) else None,
        "status": drafts.text(status, 32) or "complete",
        "seconds": drafts.seconds(value.get("seconds")),
    }


def _source(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "n": drafts.number(value.get("n")) or 0,
        "title": drafts.text(value.get("title"), 300),
        "url": drafts.text(value.get("url"), 2_000),
        "text": drafts.text(value.get("text"), 10_000),
    }


def _sound(value: dict[str, Any]) -> dict[str, Any]:
    """Parameters with sound texts; only `stop` has any."""
    stop = value.get("stop")
    if isinstance(stop, list):
        stop = [drafts.text(each) if isinstance(each, str) else each for each in stop]
    return value | {"stop": drafts.text(stop) if isinstance(stop, str) else stop}
