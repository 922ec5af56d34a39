"""Real threads with connections of their own, for what must hold when all come at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections


def all_at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each of `works` returned or raised, begun at the same moment in a thread each."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        try:
            start.wait(20)
            return work()
        except Exception as exc:  # noqa: BLE001 the test says which it must be
            return exc
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))
