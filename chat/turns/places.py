"""How many turns each person runs in this process (E5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Container
from uuid import UUID

# No commit takes longer, in seconds.
_COMMIT_SECONDS = 60


class Places:
    """Taken in the threads that prepare turns, given back on the loop that runs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[UUID, tuple[UUID | None, float]] = {}

    def take(self, turn_id: UUID, user_id: UUID | None, *, most: int) -> bool:
        """Count a turn that is about to be committed; False when `most` places are taken."""
        with self._lock:
            taken = sum(each == user_id for each, _since in self._taken.values())
            if taken >= most:
                return False
            self._taken[turn_id] = (user_id, time.monotonic())
            return True

    def give_back(self, turn_id: UUID) -> None:
        with self._lock:
            self._taken.pop(turn_id, None)

    def sweep(self, running: Container[UUID]) -> None:
        """Give back the places of turns whose commit failed, after a while."""
        oldest = time.monotonic() - _COMMIT_SECONDS
        with self._lock:
            for turn_id, (_user_id, since) in list(self._taken.items()):
                if since < oldest and turn_id not in running:
                    del self._taken[turn_id]
