"""Waiting for a condition, never for time."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE_SECONDS = 20


def until(
    condition: Callable[[], object],
    what: str | Callable[[], str],
    *,
    seconds: float = DEADLINE_SECONDS,
) -> None:
    """Return once `condition` holds; fail with `what` when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen: {what if isinstance(what, str) else what()}")
        time.sleep(0.01)  # between two looks, of which the first that succeeds ends the wait
