"""Search over the project's own documentation: BM25 over its sections."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

from models_registry.providers.offline_texts import vocabulary

QUESTION_CHARACTERS = 1_000

_K1 = 1.2
_B = 0.75
# A word in a section's own heading says more about it than one in the text.
_HEADING_WEIGHT = 4

_WORDS = re.compile(r"[a-z0-9_]+|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_HEADING = re.compile(r"#{1,6} +(.+)")
_FENCE = re.compile(r"\s*(```|~~~)")
_MARKUP = re.compile(r"[*`]|\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a page under one heading; `path` is relative to the project."""

    path: str
    titles: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        return " > ".join((self.path, *self.titles[-1:]))


class Index:
    """The sections of some pages, ranked by how well they fit a question."""

    def __init__(self, sections: list[Section]) -> None:
        self._sections = sections
        self._counts = [_counted(section) for section in sections]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / max(1, len(sections))
        self._found_in = Counter(word for counts in self._counts for word in counts)

    def search(self, question: str, *, most: int = 3) -> list[Section]:
        """The best sections first; none when no word of the question says anything."""
        wanted = set(words(_telling(question[:QUESTION_CHARACTERS])))
        scores = [(self._score(number, wanted), number) for number in range(len(self._sections))]
        best = sorted((each for each in scores if each[0] > 0), key=lambda each: -each[0])
        return [self._sections[number] for _score, number in best[:most]]

    def _score(self, number: int, wanted: set[str]) -> float:
        counts, length = self._counts[number], self._lengths[number]
        slope = _K1 * (1 - _B + _B * length / self._mean)
        score = 0.0
        for word in wanted & counts.keys():
            rarity = math.log(
                1
                + (len(self._sections) - self._found_in[word] + 0.5) / (self._found_in[word] + 0.5)
            )
            score += rarity * counts[word] * (_K1 + 1) / (counts[word] + slope)
        return score


@cache
def documentation() -> Index:
    """The README and `docs/*.md`; read once. Empty where they were not shipped."""
    root = Path(settings.BASE_DIR)
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    return Index([section for page in pages if page.is_file() for section in sections(page, root)])


def sections(page: Path, root: Path) -> list[Section]:
    """A page cut at its headings (those inside code fences are none)."""
    path = str(page.relative_to(root))
    found: list[Section] = []
    titles: tuple[str, ...] = ()
    lines: list[str] = []
    fenced = False
    for line in page.read_text(encoding="utf-8", errors="replace").splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.fullmatch(line.rstrip())
        if heading is None:
            lines.append(line)
            continue
        _close(found, path, titles, lines)
        level = line.index(" ")
        titles = (*titles[: level - 1], plain(heading[1]))
        lines = []
    _close(found, path, titles, lines)
    return found


def words(text: str) -> list[str]:
    """Words, without case and plural; CJK characters one by one."""
    return [_stem(word) for word in _WORDS.findall(unicodedata.normalize("NFKC", text).lower())]


def plain(markdown: str) -> str:
    """A heading without its markup."""
    return _MARKUP.sub(lambda found: found[1] or "", markdown).strip()


def _close(found: list[Section], path: str, titles: tuple[str, ...], lines: list[str]) -> None:
    if text := "\n".join(lines).strip():
        found.append(Section(path, titles, text))


def _counted(section: Section) -> Counter[str]:
    counts = Counter(words(section.text))
    counts.update(words(" ".join(section.titles[:-1])))
    for word in words(" ".join(section.titles[-1:])):
        counts[word] += _HEADING_WEIGHT
    return counts


def _telling(question: str) -> str:
    """The question without words that say nothing, with English ones for Chinese ones."""
    known = vocabulary()
    kept = [word for word in question.lower().split() if word.strip("?!.,") not in known.stop_words]
    added = [english for chinese, english in known.glossary.items() if chinese in question]
    return " ".join([*kept, *added])


def _stem(word: str) -> str:
    ending = "ing" if word.endswith("ing") else "s" if word.endswith("s") else ""
    short = word.removesuffix(ending)
    return short if len(short) >= len("use") and not short.endswith("s") else word
