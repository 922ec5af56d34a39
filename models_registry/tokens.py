"""Counting tokens without a network, in time linear in the text (R4)."""

from __future__ import annotations

import base64
import gzip
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson
import tiktoken
from django.conf import settings

from models_registry.providers.base import Usage
from models_registry.well_known import lookup

CL100K = "cl100k_base"
O200K = "o200k_base"

# A text that is too long to count is estimated from samples: BPE is not linear on every input.
_SAMPLES = 10
_SAMPLE_CHARACTERS = 2_000
# Counts of texts up to this length are kept: some 16 MB of text at the most.
_REMEMBERED_CHARACTERS = 4_000

# What a message costs beside its text, and what starts the answer (OpenAI's cookbook).
PER_MESSAGE = 4
PER_ANSWER = 3
# A picture's price depends on its size, which only the vendor knows; this is a mid-size one.
_PER_IMAGE = 765

# A provider's count is believed up to a factor of our own, but at least of this many (F13): room
# for templates and special tokens that short texts do not show.
_LEAST_ESTIMATE = 50
# No vendor lets a model think longer than this; hidden thoughts have no text to estimate from.
_MOST_REASONING = 200_000

_FOLDER = Path(__file__).parent / "data" / "tiktoken"

# From tiktoken_ext/openai_public.py (MIT), whose functions would fetch the ranks over the network.
_PATTERNS = {
    CL100K: (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    O200K: "|".join(
        [
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    ),
}

_loading = threading.Lock()


def load() -> None:
    """Read the usual encoding now: half a second that the first turn would else wait."""
    _encoding(O200K)


def encoding_for(upstream_name: str) -> str:
    """The encoding that comes closest for this model."""
    known = lookup(upstream_name)
    return known.encoding if known else O200K


def count(text: str, encoding: str) -> int:
    """How many tokens `text` is. Never raises; an estimate above 50,000 characters.

    Up to 50 ms of CPU, without the GIL: not on the event loop for more than some 20 KB.
    """
    if not text:
        return 0
    if len(text) <= _REMEMBERED_CHARACTERS:
        return _remembered(text, encoding)
    if len(text) <= settings.TOKEN_ESTIMATE_CHARACTERS:
        return _exact(text, encoding)
    step = (len(text) - _SAMPLE_CHARACTERS) / (_SAMPLES - 1)
    starts = [int(number * step) for number in range(_SAMPLES)]
    sampled = sum(_exact(text[at : at + _SAMPLE_CHARACTERS], encoding) for at in starts)
    return max(1, round(sampled * len(text) / (_SAMPLES * _SAMPLE_CHARACTERS)))


def count_messages(messages: Iterable[dict[str, Any]], encoding: str) -> int:
    """How many tokens a prompt of these messages (OpenAI's shape) is, roughly."""
    return PER_ANSWER + sum(_message(message, encoding) for message in messages)


def count_prompt(messages: Sequence[dict[str, Any]], beside: Iterable[Any], encoding: str) -> int:
    """The same with what stands `beside` the messages: tools, the form of the answer (R9).

    An estimate from the whole where there are more characters than can be counted in a second.
    """
    schemas = [orjson.dumps(each).decode() for each in beside if each]
    texts = [text for message in messages for text in _texts(message)] + schemas
    if sum(map(len, texts)) <= settings.TOKEN_EXACT_CHARACTERS:
        return count_messages(messages, encoding) + sum(count(each, encoding) for each in schemas)
    images = sum(
        _is_image(part)
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )
    fixed = PER_ANSWER + PER_MESSAGE * len(messages) + _PER_IMAGE * images
    return fixed + count("".join(texts), encoding)


def trusted_usage(
    reported: Usage | None, *, prompt_estimate: int, completion_estimate: int
) -> tuple[Usage, bool]:
    """What to charge, and whether it is (partly) our estimate (F13)."""
    if reported is None:
        return Usage(prompt_estimate, completion_estimate), True
    reasoning = reported.reasoning_tokens
    if not 0 <= reasoning <= min(_MOST_REASONING, reported.completion_tokens):
        reasoning = 0
    visible = reported.completion_tokens - reasoning
    prompt_fits = _believable(reported.prompt_tokens, prompt_estimate)
    completion_fits = _believable(visible, completion_estimate)
    prompt = reported.prompt_tokens if prompt_fits else prompt_estimate
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=visible + reasoning if completion_fits else completion_estimate,
        cached_tokens=min(max(reported.cached_tokens, 0), prompt),
        reasoning_tokens=reasoning if completion_fits else 0,
    )
    return usage, not (prompt_fits and completion_fits)


def _believable(reported: int, estimate: int) -> bool:
    # Nothing charged for something said is no more believable than a million.
    least = min(1, estimate)
    return least <= reported <= settings.USAGE_ESTIMATE_FACTOR * max(estimate, _LEAST_ESTIMATE)


def _message(message: dict[str, Any], encoding: str) -> int:
    content = message.get("content")
    total = PER_MESSAGE
    if isinstance(content, str):
        total += count(content, encoding)
    elif isinstance(content, list):
        total += sum(_part(part, encoding) for part in content if isinstance(part, dict))
    if calls := message.get("tool_calls"):
        total += count(orjson.dumps(calls, default=str).decode(), encoding)
    return total


def _texts(message: dict[str, Any]) -> Iterator[str]:
    """Everything of a message that is counted by its characters."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    for part in parts:
        if not _is_image(part) and isinstance(text := part.get("text"), str):
            yield text
    if calls := message.get("tool_calls"):
        yield orjson.dumps(calls, default=str).decode()


def _is_image(part: dict[str, Any]) -> bool:
    return part.get("type") == "image_url"


def _part(part: dict[str, Any], encoding: str) -> int:
    if _is_image(part):
        return _PER_IMAGE
    text = part.get("text")
    return count(text, encoding) if isinstance(text, str) else 0


@lru_cache(1_024)
def _remembered(text: str, encoding: str) -> int:
    """A conversation's messages are counted again at each of its turns."""
    return _exact(text, encoding)


def _exact(text: str, encoding: str) -> int:
    name = encoding if encoding in _PATTERNS else O200K
    # `encode` raises on text that looks like a special token; this one never does.
    return len(_encoding(name).encode_ordinary(text))


def _encoding(name: str) -> tiktoken.Encoding:
    with _loading:  # without it, the first turns at once would each load 69 MB
        return _load(name)


@cache
def _load(name: str) -> tiktoken.Encoding:
    ranks = {}
    with gzip.open(_FOLDER / f"{name}.tiktoken.gz") as lines:
        for line in lines:
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(
        name, pat_str=_PATTERNS[name], mergeable_ranks=ranks, special_tokens={}
    )
