"""Which of the formats a file is in, and what is in it; nothing is stored here."""

from __future__ import annotations

import hashlib
from collections import deque
from types import ModuleType
from typing import Any, NamedTuple

from django.conf import settings
from django.utils.translation import gettext as _

from chat.services.imports import chatgpt, own
from chat.services.imports.drafts import Imported
from chat.services.imports.pieces import Pieces, Span
from common.errors import Invalid, PayloadTooLarge


class _Outlined(NamedTuple):
    """A conversation: its plain values, and where its containers stand."""

    span: Span
    head: dict[str, Any]
    inner: dict[str, Span]


def read_file(raw: bytes) -> deque[Imported]:
    """What the file holds. All of it is read, once, before any of it can be stored.

    Raises Invalid for a file that holds anything else, PayloadTooLarge for one that holds too much.
    """
    pieces = Pieces(raw)
    kind = _format_of(pieces)
    spans: list[Span] = kind.conversations(pieces)
    if len(spans) > settings.IMPORT_CONVERSATIONS:
        raise PayloadTooLarge(
            _("A file may hold %(count)d conversations. Split it.")
            % {"count": settings.IMPORT_CONVERSATIONS}
        )
    outlined = [_Outlined(span, *pieces.head(span)) for span in spans]
    _check_trees(pieces, kind, outlined)
    return deque(_read(pieces, kind, each) for each in outlined)


def _format_of(pieces: Pieces) -> ModuleType:
    whole = pieces.whole()
    if pieces.is_list(whole):
        return chatgpt
    head, inner = pieces.head(whole)
    return chatgpt if chatgpt.TREE in {*head, *inner} and "format" not in head else own


def _check_trees(pieces: Pieces, kind: ModuleType, outlined: list[_Outlined]) -> None:
    trees = [each.inner[kind.TREE] for each in outlined if kind.TREE in each.inner]
    if not trees and kind is chatgpt:
        raise Invalid(_("There are no conversations in this file."))
    if sum(len(pieces.inner(tree)) for tree in trees) > settings.IMPORT_MESSAGES:
        raise PayloadTooLarge(
            _("A file may hold %(count)d messages. Split it.") % {"count": settings.IMPORT_MESSAGES}
        )


def _read(pieces: Pieces, kind: ModuleType, each: _Outlined) -> Imported:
    for name, part in each.inner.items():
        if name not in kind.READ:
            pieces.value(part)  # of no use, but a file that is not JSON there is refused, too
    found: Imported = kind.read(pieces, each.head, each.inner)
    name = found.key or f"content:{_digest(pieces, each.span)}"
    found.key = hashlib.sha256(name.encode()).hexdigest()
    return found


def _digest(pieces: Pieces, span: Span) -> str:
    return hashlib.sha256(pieces.raw[span.start : span.end]).hexdigest()
