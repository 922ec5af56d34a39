"""Many messages in two languages, with phrases hidden in some of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from uuid import UUID

from chat.models import Conversation, Message
from tests.filling import insert

# About as many characters as a person reads every day; the frequent ones come first.
_CHARACTERS = "".join(chr(0x4E00 + 7 * number) for number in range(2_500))
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er")]
_PER_CONVERSATION = 50


@dataclass(frozen=True)
class Planted:
    text: str
    owner: Any
    conversation: UUID


def corpus(owners: Sequence[Any], *, messages: int, phrases: int, seed: int) -> list[Planted]:
    """Write `messages`, half of them Chinese, and hide `phrases` in them, half of them Chinese."""
    rng = random.Random(seed)  # noqa: S311 the same texts every time
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(8_000)]
    # As in every language, a word is as rare as its place in the list.
    by_rank = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))

    def prose(language: int, size: int) -> str:
        source: Sequence[str] = words if language else _CHARACTERS
        chosen = rng.choices(source, cum_weights=by_rank[: len(source)], k=size)
        return " ".join(chosen) if language else "".join(chosen)

    places = rng.sample(range(messages), phrases)
    hidden = {place: _phrase(rng, number) for number, place in enumerate(places)}
    planted: list[Planted] = []
    for start in range(0, messages, _PER_CONVERSATION):
        owner = owners[(start // _PER_CONVERSATION) % len(owners)]
        count = min(_PER_CONVERSATION, messages - start)
        conversation = Conversation.objects.create(
            owner=owner, model="echo", last_position=count, message_count=count
        )
        rows: list[dict[str, Any]] = []
        for number in range(start, start + count):
            language = number % 2
            text = prose(language, rng.randint(20, 120))
            if phrase := hidden.get(number):
                text = f"{text} {phrase}。{prose(language, 30)}"
                planted.append(Planted(phrase, owner, conversation.id))
            rows.append(
                {
                    "conversation": conversation.pk,
                    "role": ("user", "assistant")[number % 2],
                    "content": text,
                    "position": number - start + 1,
                }
            )
        insert(Message, rows)
    return planted


def _phrase(rng: random.Random, number: int) -> str:
    if number % 2:
        return " ".join("".join(rng.choices(_SYLLABLES, k=3)) for _ in range(rng.randint(2, 4)))
    return "".join(rng.choices(_CHARACTERS, k=rng.randint(2, 6)))
