"""Facts about well-known models: a table of patterns in `data/well_known_models.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from common.money import billionths

_FILE = Path(__file__).parent / "data" / "well_known_models.toml"


@dataclass(frozen=True, slots=True)
class WellKnown:
    """Prices are billionths of a US dollar per 1,000,000 tokens, 0 where nobody named one."""

    context_window: int | None
    max_output_tokens: int | None
    capabilities: tuple[str, ...]
    encoding: str
    chat: bool
    input_price: int
    output_price: int
    cached_price: int | None


@lru_cache(maxsize=1_024)
def lookup(name: str) -> WellKnown | None:
    """What is known of the model that a provider calls `name`; the first pattern that fits.

    Vendors' folders ("openai/gpt-4o") and tags ("qwen3:8b") are looked through.
    """
    plain = name.strip().lower()
    last = plain.rsplit("/", 1)[-1]
    for candidate in dict.fromkeys((plain, last, last.partition(":")[0])):
        for pattern, known in _table():
            if fnmatchcase(candidate, pattern):
                return known
    return None


@cache
def _table() -> list[tuple[str, WellKnown]]:
    entries = tomllib.loads(_FILE.read_text(), parse_float=Decimal)["model"]
    return [(pattern, _entry(entry)) for entry in entries for pattern in entry["match"]]


def _entry(entry: dict[str, Any]) -> WellKnown:
    return WellKnown(
        context_window=entry.get("context"),
        max_output_tokens=entry.get("output"),
        capabilities=tuple(entry.get("can", ())),
        encoding=entry.get("encoding", "o200k_base"),
        chat=entry.get("chat", True),
        input_price=_price(entry.get("input", 0)),
        output_price=_price(entry.get("answer", 0)),
        cached_price=_price(entry["cached"]) if "cached" in entry else None,
    )


def _price(dollars: Decimal | int) -> int:
    return billionths(dollars)
