"""Searching text: one way to cut it into words, for what is kept and for what is looked for.

Neither database cuts Chinese into words, so each character of a script that is written without
spaces is a word here, and what is looked for is a phrase of them. SQLite keeps the words in an
FTS5 table beside the model's (same name, `_fts`), PostgreSQL in a `tsvector`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import Lookup

# Thai to Khmer, kana, Chinese and Hangul: written without spaces, or searched within words.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_SPACELESS}]|[^\\W_{_SPACELESS}]+")
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]")
# Latin, Greek and Cyrillic letters that may carry a mark, and marks that stand alone.
_MARKED = re.compile("[\u00c0-\u024f\u0300-\u036f\u0370-\u03ff\u0400-\u04ff\u1e00-\u1fff]")
# A megabyte is folded bit by bit, cut where no word is.
_STRETCH = re.compile(
    f".{{1,8192}}(?:\\s|\\Z)|.{{1,8192}}(?=[{_SPACELESS}])|.{{1,8192}}", re.DOTALL
)
_TERM = re.compile(r'"([^"]*)"|(\S+)')

# A word is cut here, and what is looked for is cut there: keys and hashes are long.
_WORD_CHARACTERS = 64
# PostgreSQL keeps 255 places of a word, up to the 16,383rd, in at most 1 MB.
_PIECE_WORDS = 3_000
_PLACES_OF_WORD = 255
_QUERY_WORDS = 50
# The shortest beginning of a word that finds the word, and in how many of a query: each of them
# gathers the places of many words, and SQLite cannot be interrupted at that.
_PREFIX_CHARACTERS = 2
_QUERY_PREFIXES = 5


def words_of(text: str) -> list[str]:
    """The words of a text, without capitals, accents and full-width forms."""
    return list(_words(text))


def pieces_of(text: str) -> Iterator[list[str]]:
    """The words in pieces that a row of the index can hold, most often one.

    Neighbours overlap by what a query holds at most, so that no phrase is cut in two.
    """
    piece: list[str] = []
    places: Counter[str] = Counter()
    for word in _words(text):
        if len(piece) == _PIECE_WORDS or places[word] == _PLACES_OF_WORD:
            yield piece
            piece = piece[-_QUERY_WORDS:]
            places = Counter(piece)
        piece.append(word)
        places[word] += 1
    if piece:
        yield piece


def mark_of(owner_id: object) -> str:
    """A word that no text has: it is put into every piece of a person's, and into their queries,
    so that others' texts cost them no time."""
    return f"§{owner_id}".replace("-", "")


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words that follow each other; the last one may go on when it `is_open`."""

    words: Sequence[str]
    is_open: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Phrases that a piece must hold, all of them, in any order, and the mark of its owner."""

    mark: str
    phrases: Sequence[_Phrase]

    @classmethod
    def of(cls, text: str, *, owner_id: object) -> Query:
        """What is between spaces is a phrase, and what is between double quotes. An unquoted
        word of letters finds longer ones, too. Without any word, nothing is found."""
        phrases: list[_Phrase] = []
        left, prefixes = _QUERY_WORDS, _QUERY_PREFIXES
        for quoted, bare in _TERM.findall(text):
            words = words_of(quoted or bare)[:left]
            left -= len(words)
            if words:
                last = words[-1]
                may_go_on = len(last) >= _PREFIX_CHARACTERS and not _IS_SPACELESS.match(last)
                is_open = bool(bare) and may_go_on and prefixes > 0
                prefixes -= is_open
                phrases.append(_Phrase(words, is_open))
        return cls(mark_of(owner_id), phrases)

    def __bool__(self) -> bool:
        return bool(self.phrases)

    def for_sqlite(self) -> str:
        # Every word is quoted, so that none is taken for an operator.
        parts = [f'"{self.mark}"']
        parts += [
            f'"{" ".join(each.words)}"' + (" *" if each.is_open else "") for each in self.phrases
        ]
        return " AND ".join(parts)

    def for_postgresql(self) -> str:
        parts = [f"'{self.mark}'"]
        parts += [
            "(" + " <-> ".join(f"'{word}'" for word in each.words) + ":*" * each.is_open + ")"
            for each in self.phrases
        ]
        return " & ".join(parts)


class IndexedWordsField(models.TextField[Sequence[str], Sequence[str]]):
    """Words that can be searched: `field__holds=Query`. A migration makes the index.

    To migrations it is a text field: they import no code of ours.
    """

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "tsvector" if connection.vendor == "postgresql" else "text"

    def get_db_prep_value(
        self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> Any:
        if connection.vendor == "postgresql":
            return " ".join(f"'{word}':{place}" for place, word in enumerate(value, 1))
        return " ".join(value)


@IndexedWordsField.register_lookup
class Holds(Lookup[Any]):
    lookup_name = "holds"
    prepare_rhs = False

    def get_db_prep_lookup(self, value: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        is_postgresql = connection.vendor == "postgresql"
        return "%s", (value.for_postgresql() if is_postgresql else value.for_sqlite(),)

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, given = self.process_lhs(compiler, connection)
        value, values = self.process_rhs(compiler, connection)
        return f"{column} @@ {value}::tsquery", (*given, *values)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        table = self.lhs.target.model._meta.db_table  # noqa: SLF001 documented
        quote = connection.ops.quote_name
        index = quote(f"{table}_fts")
        value, values = self.process_rhs(compiler, connection)
        key = f"{quote(self.lhs.alias)}.{quote('id')}"
        return f"{key} IN (SELECT rowid FROM {index} WHERE {index} MATCH {value})", tuple(values)  # noqa: S608 names of models


def _words(text: str) -> Iterator[str]:
    for stretch in _STRETCH.finditer(text):
        for found in _WORD.finditer(_fold(stretch[0])):
            yield found[0][:_WORD_CHARACTERS]


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return _MARKED.sub(lambda letter: _without_mark(letter[0]), text)


@functools.lru_cache(2_048)
def _without_mark(letter: str) -> str:
    parts = unicodedata.normalize("NFD", letter)
    return "".join(part for part in parts if not unicodedata.combining(part))
