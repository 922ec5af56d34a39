"""Every process tends the turns of the others: what does not move any more is closed."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.conf import settings

from chat.errors import TurnCutOff
from chat.models import Turn
from chat.turns.closing import close_turn
from common.db import in_thread

logger = structlog.get_logger(__name__)

# How the owners of turns begin that are servers (`Turn.owner`); commands come and go.
SERVER = "server"
# How many looks' time one look may add.
_LOOKS_AT_MOST = 2


@dataclass(slots=True)
class _Watched:
    beat: int
    still: float = 0.0


class Tender:
    """Remembers (turn, beat) and counts, by its own monotonic clock, how long a turn stands still.

    `in_flight` are the turns that this process runs itself. Only time between two looks that
    succeeded counts, and no more than two looks should be apart: with the database away nobody
    can beat, nor on a machine that is paused.
    """

    def __init__(self, owner: str, in_flight: Collection[UUID]) -> None:
        self._owner = owner
        self._in_flight = in_flight
        self._watched: dict[UUID, _Watched] = {}
        self._looked_at: float | None = None

    @property
    def watches(self) -> bool:
        """Whether the last look found turns that others run."""
        return bool(self._watched)

    async def look(self) -> list[UUID]:
        """Close what stands still; which turns were closed."""
        return [turn_id for turn_id in await self.still() if await self._close(turn_id)]

    async def still(self) -> list[UUID]:
        """Look, and close nothing: which turns have not moved for DEAD_TURN_SECONDS."""
        looked_at, self._looked_at = self._looked_at, None
        running = await in_thread(_running_elsewhere)(list(self._in_flight))
        now = time.monotonic()
        # A process that was held up, with its whole machine perhaps, saw nobody's beat meanwhile.
        most = _LOOKS_AT_MOST * settings.LOOK_SECONDS
        passed = 0.0 if looked_at is None else min(now - looked_at, most)
        self._looked_at = now
        watched: dict[UUID, _Watched] = {}
        for turn_id, beat in running:
            before = self._watched.get(turn_id)
            still = before.still + passed if before and before.beat == beat else 0.0
            watched[turn_id] = _Watched(beat, still)
        self._watched = watched
        most_still = settings.DEAD_TURN_SECONDS
        return [turn_id for turn_id, each in watched.items() if each.still >= most_still]

    async def close_what_servers_left(self) -> None:
        """Before the only server serves: what servers owned died with them."""
        for turn_id in await in_thread(_left_by_servers)(self._owner):
            await self._close(turn_id)

    async def _close(self, turn_id: UUID) -> bool:
        try:
            closed = await close_turn(turn_id, status=Turn.Status.INTERRUPTED, error=TurnCutOff())
        except Exception:  # one bad row must not keep the others from being tended
            logger.exception(
                "An answer that nobody writes any more was not closed; the next look tries again."
                " If the database is up, please report what follows.",
                turn=str(turn_id),
            )
            return False
        if closed:
            logger.warning(
                "The process that wrote an answer is gone; what it had saved is kept as"
                " interrupted. See how that process ended.",
                turn=str(turn_id),
            )
        return closed


def _running_elsewhere(in_flight: list[UUID]) -> list[tuple[UUID, int]]:
    rows = Turn.objects.running().exclude(pk__in=in_flight)
    return list(rows.values_list("id", "beat"))


def _left_by_servers(owner: str) -> list[UUID]:
    rows = Turn.objects.running().filter(owner__startswith=f"{SERVER}-").exclude(owner=owner)
    return list(rows.values_list("id", flat=True))
