"""How many turns run in this process, and how many of them are one person's (E5, R6)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Container
from uuid import UUID

_FEW_LEFT = 0.8
# No commit takes longer, in seconds.
_COMMIT_SECONDS = 60


class Places:
    """Taken in the threads that prepare turns, given back on the loop that runs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[UUID, tuple[UUID | None, float]] = {}
        # How many each person has. Counted along: a send waits while it is looked at.
        self._people: Counter[UUID | None] = Counter()

    @property
    def taken(self) -> int:
        """By turns that run, and by those that are about to be committed."""
        return len(self._taken)

    def take(self, turn_id: UUID, user_id: UUID | None, *, most: int, of: int) -> bool:
        """Count a turn that is about to be committed; False when its person has taken `most`
        places, or none is left for them of the `of` that there are.

        Where few are left, each has a share of them: as many as each would have if one person more
        came, so that there is room for that one.
        """
        with self._lock:
            taken = self._people[user_id]
            if taken >= most or len(self._taken) >= of:
                return False
            few_are_left = len(self._taken) >= of * _FEW_LEFT
            people = len(self._people) + (user_id not in self._people)
            if few_are_left and taken >= of // (people + 1):
                return False
            self._taken[turn_id] = (user_id, time.monotonic())
            self._people[user_id] += 1
            return True

    def give_back(self, turn_id: UUID) -> None:
        with self._lock:
            self._forget(turn_id)

    def sweep(self, running: Container[UUID]) -> None:
        """Give back, after a while, the places of turns that were rolled back with more than their
        own transaction."""
        oldest = time.monotonic() - _COMMIT_SECONDS
        with self._lock:
            for turn_id, (_user_id, since) in list(self._taken.items()):
                if since < oldest and turn_id not in running:
                    self._forget(turn_id)

    def _forget(self, turn_id: UUID) -> None:
        found = self._taken.pop(turn_id, None)
        if found is None:
            return
        user_id, _since = found
        self._people[user_id] -= 1
        if self._people[user_id] <= 0:
            del self._people[user_id]
