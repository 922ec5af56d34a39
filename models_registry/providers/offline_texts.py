"""The words of the built-in model: `data/offline.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent.parent / "data" / "offline.toml"


@dataclass(frozen=True, slots=True)
class Texts:
    who: str
    found: str
    also: str
    nothing: str
    articles: str
    no_articles: str
    connect: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words to leave out of a question, and English words to add for Chinese ones."""

    stop_words: frozenset[str]
    glossary: dict[str, str]


def texts_in(language: str) -> Texts:
    """In Chinese for any `zh`, else in English."""
    return _texts("zh" if language.lower().startswith("zh") else "en")


@cache
def vocabulary() -> Vocabulary:
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return Vocabulary(frozenset(table["search"]["stop_words"].split()), table["glossary"])


@cache
def _texts(language: str) -> Texts:
    return Texts(**tomllib.loads(_FILE.read_text(encoding="utf-8"))[language])
