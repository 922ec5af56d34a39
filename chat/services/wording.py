"""A title out of what a model, or a person, wrote."""

from __future__ import annotations

import re

from common.text import heading

_READ_CHARACTERS = 2_000
_TITLE_CHARACTERS = 80

_LABEL = re.compile(r"^(?:title|标题|標題|题目)\s*[:：]\s*", re.IGNORECASE)  # noqa: RUF001 also in Chinese
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()]*\)")
_EMPHASIS = re.compile(r"\*\*|__|`")
_QUOTES = "\"'“”‘’„«»‹›「」『』《》*_ "  # noqa: RUF001


def cleaned_title(text: str) -> str:
    """The title in a model's answer: one short line, without Markdown and quotes.

    "" where there is none.
    """
    said = text[:_READ_CHARACTERS]
    line = next(filter(None, (_plain(line) for line in said.splitlines())), "")
    return _cut(line)


def first_words(text: str) -> str:
    """The title of a conversation that begins with `text`, where no model wrote one."""
    return _cut(heading(text[:_READ_CHARACTERS]))


def _plain(line: str) -> str:
    line = _EMPHASIS.sub("", _LINK.sub(r"\1", line)).strip().lstrip("#>-•").strip(_QUOTES)
    bare = heading(_LABEL.sub("", line)).strip(_QUOTES).rstrip("。. ").strip(_QUOTES)
    return heading(bare)  # behind quotes there may be nothing to see


def _cut(line: str) -> str:
    """At most _TITLE_CHARACTERS, cut between words where there are any."""
    if len(line) <= _TITLE_CHARACTERS:
        return line
    head = line[: _TITLE_CHARACTERS - 1]
    kept, _space, rest = head.rpartition(" ")
    whole = kept if len(rest) < _TITLE_CHARACTERS // 2 and kept else head
    return whole.rstrip(" ,;:，；：、") + "…"  # noqa: RUF001
