"""What it costs others: the memory of a process, and how long it keeps everybody waiting."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.server import Server

MEBIBYTE = 1 << 20


def memory(server: Server) -> int:
    """Resident bytes of the process."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median_seconds(works: list[Callable[[], object]], *, tries: int) -> list[float]:
    """What each takes; in turns, so that a busy moment of the machine meets them alike."""
    rounds = [[seconds_of(work) for work in works] for _try in range(tries)]
    return [statistics.median(taken) for taken in zip(*rounds, strict=True)]


def metric(server: Server, name: str) -> float:
    lines = server.request("/metrics").body.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


class Bystander:
    """Asks `/health/live` without pause while the block runs; knows the longest wait."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.waits: list[float] = []
        self.statuses: set[int] = set()
        self.memory = memory(server)
        """The most resident bytes that were seen."""

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(60)

    @property
    def longest(self) -> float:
        assert self.statuses == {200}
        return max(self.waits)

    def _ask(self) -> None:
        while not self._over.is_set():
            began = time.perf_counter()
            self.statuses.add(self._server.request("/health/live", timeout=60).status)
            self.waits.append(time.perf_counter() - began)
            self.memory = max(self.memory, memory(self._server))
            self._over.wait(0.02)
