"""Parley as in production: two web processes, a worker and a beat, on stores to be broken."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.own_services import OwnPostgreSQL, OwnRedis
from tests.faults.provider import Provider
from tests.server import ROOT, Server, launch, wait_until_ready

_START_SECONDS = 180
_JOBS = {
    "worker": ("worker", "--pool", "threads", "--concurrency", "4"),
    "beat": ("beat", "--pidfile", ""),
}


class Deployment:
    """`first` and `second` serve, a worker and a beat of their own do the jobs."""

    def __init__(
        self,
        data_dir: Path,
        upstream: Provider,
        stores: tuple[OwnPostgreSQL, OwnRedis],
        **environ: str,
    ) -> None:
        self.data_dir = data_dir
        self.postgresql, self.redis = stores
        self._variables = {
            **upstream.environ,
            "EMBEDDED_WORKER": "false",
            "DATABASE_URL": self.postgresql.url,
            "REDIS_URL": self.redis.url,
            **environ,
        }
        self.jobs: dict[str, subprocess.Popen[bytes]] = {}
        self.first = self._launch()
        self.second = self._launch()

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.first, self.second

    @property
    def log(self) -> str:
        """Of all processes, the ended ones too."""
        return "\n".join(path.read_text() for path in sorted(self.data_dir.glob("*.log")))

    def wait(self) -> None:
        for server in self.servers:
            wait_until_ready(server, seconds=_START_SECONDS)

    def begin_again(self, server: Server) -> Server:
        """In place of one that has ended, on the same port. Does not wait until it is ready."""
        server.stop()
        again = self._launch(PORT=str(server.port))
        if server is self.first:
            self.first = again
        else:
            self.second = again
        return again

    def start_jobs(self, kind: str, *, name: str = "") -> None:
        with (self.data_dir / f"{name or kind}.log").open("ab") as log:
            self.jobs[name or kind] = subprocess.Popen(
                [sys.executable, "-m", "celery", "--app", "config", *_JOBS[kind]],
                cwd=ROOT,
                env=self.first.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def kill_jobs(self, name: str) -> None:
        process = self.jobs.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def end(self) -> None:
        for name in list(self.jobs):
            self.kill_jobs(name)
        for server in self.servers:
            server.stop()

    def _launch(self, **environ: str) -> Server:
        return launch(self.data_dir, **self._variables, **environ)


@contextmanager
def deployed(
    data_dir: Path, upstream: Provider, stores: tuple[OwnPostgreSQL, OwnRedis], **environ: str
) -> Iterator[Deployment]:
    deployment = Deployment(data_dir, upstream, stores, **environ)
    try:
        deployment.wait()
        for kind in _JOBS:
            deployment.start_jobs(kind)
        yield deployment
    finally:
        deployment.end()
