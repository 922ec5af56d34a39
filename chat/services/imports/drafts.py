"""What both formats are brought to: conversations and messages as they are to be stored."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_datetime

from chat.models import Conversation, Message
from common.text import clean, heading

# Beyond these, numbers are somebody's joke; sums of them still fit into their columns.
NUMBER_AT_MOST = 10**12
SECONDS_AT_MOST = 10**7
_NUMBERS = frozenset({int, float})  # and not bool, which passes for an int
_YEARS = range(2000, 2100)
_KEY_CHARACTERS = 80
_COMPLETE = Message.Status.COMPLETE  # looked up once: an enumeration takes its time


@dataclass(slots=True)
class Draft:
    """A message: `key` and `parent` are the file's own ids, `at` is when it was written.

    `position` is where it stood in the file's own count, if it told one.
    """

    key: str
    parent: str | None
    role: str
    content: str = ""
    reasoning: str = ""
    at: datetime | None = None
    position: int | None = None
    ended_position: int | None = None
    status: str = _COMPLETE
    model: str = ""
    fallback: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: int | None = None
    usage_estimated: bool = False
    seconds: float | None = None
    context: dict[str, Any] | None = None
    error_code: str = ""
    error_detail: str = ""
    edited_at: datetime | None = None
    rating: str = ""
    comment: str = ""
    tool_calls: Sequence[Any] = ()
    sources: Sequence[Any] = ()


@dataclass(slots=True)
class Imported:
    """A conversation. `key` names it among all that one person imports; `own_id` is the id that
    it has where it was exported, if it came from a Parley. `newest` is the message that the
    active branch ends with, if the file says so.
    """

    key: str
    own_id: str
    title: str = ""
    title_source: str = Conversation.TitleSource.NONE
    model: str = ""
    system_prompt: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    archived: bool = False
    pinned: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    newest: str | None = None
    messages: list[Draft] = field(default_factory=list)


def text(value: Any, characters: int | None = None) -> str:
    """`value` if it is text, sound and not too long; else what is left of it."""
    if not isinstance(value, str):
        return ""
    return clean(value)[: settings.IMPORT_TEXT_CHARACTERS if characters is None else characters]


def line(value: Any, characters: int) -> str:
    """The same for a name: white space alone is nothing."""
    found = text(value, characters)
    return found if found.strip() else ""


def title(value: Any) -> str:
    # Judged again: of what is seen, the cut may have left nothing.
    return heading(heading(text(value))[: settings.TITLE_CHARACTERS])


def key(value: Any) -> str:
    """An id of the file's own."""
    return clean(value)[:_KEY_CHARACTERS] if isinstance(value, str) else ""


def number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= NUMBER_AT_MOST else None


def seconds(value: Any) -> float | None:
    return float(value) if type(value) in _NUMBERS and 0 <= value <= SECONDS_AT_MOST else None


def choice(value: Any, allowed: Container[str], default: str) -> str:
    return value if isinstance(value, str) and value in allowed else default


def moment(value: Any) -> datetime | None:
    """A time as text (ISO 8601) or as seconds since 1970, between 2000 and 2100."""
    found: datetime | None = None
    try:
        if isinstance(value, str):
            found = parse_datetime(value[:40])
        elif type(value) in _NUMBERS and math.isfinite(value):
            found = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if found is None or found.year not in _YEARS:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
