"""What it costs others: the memory of a process, and how long it keeps everybody waiting."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from tests.server import Server
from tests.waiting import until

MEBIBYTE = 1 << 20


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


async def until_connections(server: Server, count: int, *, within: float) -> None:
    """Wait until only so many sockets are open."""
    async with asyncio.timeout(within):
        while True:
            told = await asyncio.to_thread(server.request, "/health")
            if told.json()["active_connections"] == count:
                return
            await asyncio.sleep(0.2)


# In a process of its own, for the threads of a test would keep it waiting themselves.
_ASK = """
import sys, time
from http.client import HTTPConnection
while True:
    began = time.perf_counter()
    asking = HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    asking.request("GET", "/health/live")
    status = asking.getresponse().status
    asking.close()
    pages = open(f"/proc/{sys.argv[2]}/statm").read().split()[1]
    print(status, time.perf_counter() - began, pages, flush=True)
    time.sleep(0.02)  # it asks fifty times a second, so as to be no load itself
"""


class Bystander:
    """Asks `/health/live` without pause while the block runs; knows the longest wait."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._said: list[list[str]] = []
        self.memory = server.memory
        """The most resident bytes that were seen."""

    def __enter__(self) -> Bystander:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ASK, str(self._server.port), str(self._server.pid)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        until(lambda: self._said, "the first answer", seconds=60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        heard = len(self._said)
        if failure is None:
            # Whoever waits for an answer now is to be counted, too.
            until(lambda: len(self._said) > heard, "one more answer", seconds=60)
        self._process.kill()
        self._process.wait(20)
        self._thread.join(20)

    @property
    def longest(self) -> float:
        assert {status for status, _wait, _pages in self._said} == {"200"}
        return max(float(wait) for _status, wait, _pages in self._said)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._said.append(line.split())
                pages = int(line.split()[2])
                self.memory = max(self.memory, pages * os.sysconf("SC_PAGE_SIZE"))
