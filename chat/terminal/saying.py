"""What is said about an answer, in words."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat.models import Message


def visible(text: str) -> str:
    """`text` with nothing in it that a terminal would obey: a model's words are not ours."""
    if text.isprintable():
        return text
    return "".join(
        char if char in "\n\t" or not unicodedata.category(char).startswith("C") else _shown(char)
        for char in text
    )


def one_line(text: str) -> str:
    return " ".join(visible(text).split())


def account_of(message: dict[str, Any]) -> str:
    """Who answered, what it took: `gpt-4o · 1,204 + 96 tokens · cost 0.001250 · 3.2 s`."""
    parts = [one_line(message["model"])]
    if message["fallback"]:
        parts[0] = _("%(model)s (a fallback)") % {"model": parts[0]}
    if usage := message["usage"]:
        parts.append(
            _("%(about)s%(prompt)s + %(completion)s tokens")
            % {
                "about": "≈ " if usage["estimated"] else "",
                "prompt": f"{usage['prompt_tokens']:,}",
                "completion": f"{usage['completion_tokens']:,}",
            }
        )
        if Decimal(usage["cost"]):
            parts.append(_("cost %(cost)s") % {"cost": usage["cost"]})
    if message["seconds"] is not None:
        parts.append(_("%(seconds).1f s") % {"seconds": message["seconds"]})
    if message["status"] == Message.Status.STOPPED:
        parts.append(_("stopped, the text is kept"))
    if left_out := (message["context"] or {}).get("messages_left_out"):
        parts.append(
            ngettext(
                "%(count)d older message did not fit",
                "%(count)d older messages did not fit",
                left_out,
            )
            % {"count": left_out}
        )
    return " · ".join(parts)


def failure_of(end: dict[str, Any]) -> str:
    """Why a turn did not come to its end, as a sentence; "" when it did, or was stopped."""
    if end["type"] == "chat_error":
        return one_line(end["detail"])
    error = end["message"]["error"]
    if end["message"]["status"] != Message.Status.INTERRUPTED or not error:
        return ""
    return _("The answer broke off. %(detail)s") % {"detail": one_line(error["detail"])}


def sources_of(message: dict[str, Any]) -> list[str]:
    """Where the answer comes from, a line each."""
    return [
        one_line(f"[{source.get('n')}] {source.get('title') or ''} {source.get('url') or ''}")
        for source in message["sources"]
    ]


def _shown(char: str) -> str:
    if char == "\r":
        return ""
    # Format characters join emoji and letters; the rest could steer the terminal, or a reader.
    if unicodedata.category(char) == "Cf" and char not in _STEERING:
        return char
    return "\ufffd"


# Overrides of direction: text that reads otherwise than it is written.
_STEERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
