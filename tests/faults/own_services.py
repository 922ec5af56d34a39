"""A Redis and a PostgreSQL of the tests' own, to be stopped at any moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.server import free_port
from tests.waiting import until

# Debian keeps the server's programs out of the path.
_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class OwnRedis:
    def __init__(self, folder: Path, program: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def fixture(cls, folder: Path) -> Iterator[OwnRedis]:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("stops a Redis of its own: played where redis-server is installed")
        server = cls(folder, program)
        server.start()
        yield server
        server.stop()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until(self._answers, "Redis answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class OwnPostgreSQL:
    def __init__(self, folder: Path, programs: Path) -> None:
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self._folder, self._programs = folder, programs
        # It refuses to run as root.
        self._as: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
        if self._as:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-U", "postgres", "-A", "trust", "-D", str(folder / "data"))

    @classmethod
    def fixture(cls) -> Iterator[OwnPostgreSQL]:
        found = shutil.which("initdb")
        folders = [folder for folder in _FOLDERS if (folder / "initdb").exists()]
        if not (found or folders):
            pytest.skip("stops a PostgreSQL of its own: played where initdb is installed")
        programs = folders[0] if folders else Path(str(found)).parent
        # Not below pytest's folder, which is closed to the user "postgres".
        with tempfile.TemporaryDirectory(prefix="parley-faults-") as folder:
            server = cls(Path(folder), programs)
            server.start()
            yield server
            server.stop()

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -F"
        self._control("start", "-w", "-o", options, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def cut_connections(self) -> int:
        """End every connection but this one; how many there were."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            ended = admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return len(ended.fetchall())

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            check=True,
            timeout=60,
            **self._as,
        )
