"""Servers of a measurement: started, pinned to a core, watched through /proc, ended by pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90
STOP_SECONDS = 40
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def say(text: str) -> None:
    """Progress, beside what is printed for good."""
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cores() -> tuple[int, int]:
    """(the server's core, the core of everything that drives it)."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU-seconds since the start and resident bytes, over a process and its descendants."""

    cpu: float
    rss: int


class Server:
    """A server process on one core, for the length of a `with`."""

    def __init__(
        self,
        arguments: list[str],
        *,
        port: int,
        core: int,
        ready: str = "/",
        environment: dict[str, str] | None = None,
        log: Path,
        program: str = sys.executable,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._arguments = [program, *arguments]
        self._core = core
        self._ready = ready
        self._environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
        } | (environment or {})
        self._log = log

    def __enter__(self) -> Server:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        os.sched_setaffinity(self._process.pid, {self._core})
        try:
            self._wait()
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _wait(self) -> None:
        """Until it answers; any status but 5xx will do."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(self.url + self._ready, timeout=2).close()
            except urllib.error.HTTPError as refused:
                if refused.code < 500:
                    return
            except OSError:
                pass
            else:
                return
            time.sleep(0.05)
        said = self._log.read_text(errors="replace")[-2_000:]
        raise SystemExit(f"{' '.join(self._arguments)} did not start:\n{said}")

    def usage(self) -> Usage:
        """Of now; what ended meanwhile counts no more."""
        cpu, rss = 0.0, 0
        for pid in self._tree():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
            cpu += (int(stat[11]) + int(stat[12])) / _TICKS
            rss += pages * _PAGE
        return Usage(cpu, rss)

    def _tree(self) -> list[int]:
        pids = [self._process.pid]
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    pids += [int(child) for child in task.read_text().split()]
                except OSError:
                    continue
        return pids


class Servers:
    """Servers that do one thing together: what they cost is summed."""

    def __init__(self, *servers: Server) -> None:
        self.servers = servers

    def usage(self) -> Usage:
        found = [server.usage() for server in self.servers]
        return Usage(sum(each.cpu for each in found), sum(each.rss for each in found))
