"""Markdown as HTML that is safe to show, whoever wrote it (X1, X2, X6)."""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import nh3
from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

# What a text of ordinary length never comes near, and what makes a parser look again and again.
_MARKS = re.compile(r"[\[\]*_~`<>|!]")
_MARKS_AT_MOST = 5_000
_BRACKETS_AT_MOST = 500
_LINES_AT_MOST = 4_000
# Each is a token of its own.
_ESCAPES_AT_MOST = 10_000
# Where one of the rules below may begin or end; the library stops at every other sign as well,
# to ask all of them.
_STOPS = re.compile(r"[\n\\`*_~\[\]!<&]")

_TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "hr", "li", "ol", "p", "pre", "s", "strong"),
    *("h2", "h3", "h4", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ABSOLUTE = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_SIDES = frozenset({"left", "center", "right"})
# An answer's own headings stand below the page's.
_HEADINGS = {"h1": "h2", "h2": "h3", "h3": "h4", "h4": "h4", "h5": "h4", "h6": "h4"}


class _Renderer(RendererHTML):
    def heading_open(self, tokens: Sequence[Token], at: int, *_rest: Any) -> str:
        return f"<{_HEADINGS[tokens[at].tag]}>"

    def heading_close(self, tokens: Sequence[Token], at: int, *_rest: Any) -> str:
        return f"</{_HEADINGS[tokens[at].tag]}>\n"

    # What may be wider than its column is scrolled, also by the keyboard.
    def table_open(self, *_given: Any) -> str:
        return '<table tabindex="0">'

    def fence(self, tokens: Sequence[Token], at: int, *_rest: Any) -> str:
        return f'<pre tabindex="0"><code>{escape(tokens[at].content)}</code></pre>\n'

    def code_block(self, tokens: Sequence[Token], at: int, *_rest: Any) -> str:
        return self.fence(tokens, at)

    def th_open(self, tokens: Sequence[Token], at: int, *_rest: Any) -> str:
        """A column's side without a `style`, which no page of ours may have."""
        side = str(tokens[at].attrs.get("style", "")).removeprefix("text-align:")
        return f'<{tokens[at].tag} align="{side}">' if side in _SIDES else f"<{tokens[at].tag}>"

    def td_open(self, tokens: Sequence[Token], at: int, *_rest: Any) -> str:
        return self.th_open(tokens, at)

    def image(
        self, tokens: Sequence[Token], at: int, _options: Any, env: MutableMapping[str, Any]
    ) -> str:
        """A link: a picture from elsewhere would tell elsewhere who reads this."""
        address = escape(str(tokens[at].attrs.get("src", "")))
        return f'<a href="{address}">{escape(tokens[at].content) or address}</a>'


_parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer).enable(
    ["strikethrough", "table"]
)
_parser.inline.terminator_re = _STOPS
_cleaner = nh3.Cleaner(
    tags=_TAGS,
    attributes={
        "*": set(),
        "a": {"href"},
        "ol": {"start"},
        "td": {"align"},
        "th": {"align"},
        "pre": {"tabindex"},
        "table": {"tabindex"},
    },
    attribute_filter=lambda tag, name, value: (
        None if name == "href" and not _ABSOLUTE.match(value) else value
    ),
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow ugc",
)


def as_html(text: str) -> SafeString:
    """`text` rendered; as it stands, where it is very long or made to be hard to read."""
    if not _is_plain(text):
        try:
            return mark_safe(_cleaner.clean(_parser.render(text)))  # noqa: S308 it was cleaned
        except RecursionError:
            pass
    return mark_safe(f"<pre>{escape(text)}</pre>")  # noqa: S308 it was escaped


def _is_plain(text: str) -> bool:
    return (
        len(text) > settings.MARKDOWN_CHARACTERS
        or text.count("\n") > _LINES_AT_MOST
        or text.count("[") > _BRACKETS_AT_MOST
        or text.count("\\") + text.count("&") > _ESCAPES_AT_MOST
        or len(_MARKS.findall(text)) > _MARKS_AT_MOST
    )
