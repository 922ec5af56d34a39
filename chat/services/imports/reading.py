"""Which of the formats a file is in, and what is in it; nothing is stored here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import ModuleType

from django.conf import settings
from django.utils.translation import gettext as _

from chat.services.imports import chatgpt, own
from chat.services.imports.drafts import Imported
from chat.services.imports.pieces import Pieces, Span
from common.errors import Invalid, PayloadTooLarge


class ImportFile:
    """A file that was looked through from end to end: what it holds can be stored.

    Raises Invalid for one that holds anything else, PayloadTooLarge for one that holds too much.
    """

    def __init__(self, raw: bytes) -> None:
        self._pieces = Pieces(raw)
        self._format: ModuleType = self._find_format()
        self._spans: list[Span] = self._format.conversations(self._pieces)
        self._check()

    def __iter__(self) -> Iterator[Imported]:
        for span in self._spans:
            found: Imported = self._format.read(self._pieces, span)
            name = found.key or f"content:{self._digest(span)}"
            found.key = hashlib.sha256(name.encode()).hexdigest()
            yield found

    def _find_format(self) -> ModuleType:
        whole = self._pieces.whole()
        if self._pieces.is_list(whole):
            return chatgpt
        head, inner = self._pieces.head(whole)
        return chatgpt if chatgpt.TREE in {*head, *inner} and "format" not in head else own

    def _check(self) -> None:
        if len(self._spans) > settings.IMPORT_CONVERSATIONS:
            raise PayloadTooLarge(
                _("A file may hold %(count)d conversations. Split it.")
                % {"count": settings.IMPORT_CONVERSATIONS}
            )
        parts = [self._pieces.head(span)[1] for span in self._spans]
        trees = [each[self._format.TREE] for each in parts if self._format.TREE in each]
        if not trees and self._format is chatgpt:
            raise Invalid(_("There are no conversations in this file."))
        if sum(len(self._pieces.inner(tree)) for tree in trees) > settings.IMPORT_MESSAGES:
            raise PayloadTooLarge(
                _("A file may hold %(count)d messages. Split it.")
                % {"count": settings.IMPORT_MESSAGES}
            )
        # Parsed once for nothing, so that a file that breaks off in the middle stores nothing.
        for each in parts:
            for name, part in each.items():
                self._parse(part, in_pieces=name == self._format.TREE)

    def _parse(self, part: Span, *, in_pieces: bool) -> None:
        if not in_pieces:
            self._pieces.value(part)
            return
        for _name, _value in self._pieces.each(part):
            pass

    def _digest(self, span: Span) -> str:
        return hashlib.sha256(self._pieces.raw[span.start : span.end]).hexdigest()
