"""What every process looks at every few seconds, because a nudge may be lost.

The database is the truth; channel layers and Redis only say "look". One loop per process calls
every registered look in turn; one that fails is logged and called again next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from django.conf import settings

logger = structlog.get_logger(__name__)

_Look = Callable[[], Awaitable[object]]
_looks: list[_Look] = []


def every_look(look: _Look) -> _Look:
    """Register `look`; usable as a decorator."""
    _looks.append(look)
    return look


async def look_once(*own: _Look) -> None:
    """Call `own`, then every registered look."""
    for look in (*own, *_looks):
        try:
            await look()
        except Exception:  # one failing look must not blind the others
            logger.exception(
                "A look at what changed failed, and is taken again in a moment. "
                "If the database is up, please report what follows.",
                look=look.__qualname__,
            )


async def keep_looking(*own: _Look) -> None:
    """Look every `settings.LOOK_SECONDS` until cancelled."""
    while True:
        await asyncio.sleep(settings.LOOK_SECONDS)
        await look_once(*own)
