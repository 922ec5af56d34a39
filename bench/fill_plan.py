"""What `bench.fill` writes, for those who look for it afterwards."""

from __future__ import annotations

import random
from uuid import UUID

MESSAGES_EACH = 50
CONVERSATIONS_OF_ONE = 1_000
WORDS = 24
# Ids begin with it, then the kind of row, then its number: in the order of time, as ids are.
FIRST = "0199"


def conversation_id(number: int) -> UUID:
    return UUID(f"{FIRST}1{number:027x}")


def word(chance: random.Random) -> str:
    """One that is somewhere in the texts."""
    return f"w{chance.randrange(1_000)}"
