"""A real server: `manage.py serve` as a process of its own, on a free port, with its own folder."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import canaries
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 40

# What would make a server of the tests someone else's.
_NOT_INHERITED = (
    "ALLOWED_HOSTS",
    "DATABASE_URL",
    "DEBUG",
    "DJANGO_SETTINGS_MODULE",
    "ENCRYPTION_KEYS",
    "HOST",
    "METRICS_TOKEN",
    "PRODUCTION",
    "PUBLIC_URL",
    "PYTHONDONTWRITEBYTECODE",  # each of many servers would compile all of Parley
    "PYTEST_XDIST_WORKER",  # the settings of the tests would move to the next Redis database again
    "REDIS_URL",
    "SECRET_KEY",
    "SIGNING_KEYS",
    "SINGLE_USER",
    *(
        f"{name}_{part}"
        for name in ("OPENAI", "DASHSCOPE", "ANTHROPIC")
        for part in ("API_KEY", "BASE_URL")
    ),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """One running (or ended) server; `log` is all it wrote so far."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    log_path: Path
    environ: dict[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def memory(self) -> int:
        """Resident bytes of the process."""
        pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float = 15,
    ) -> Answer:
        """One request; `body` is sent as JSON unless it is bytes. Redirects are not followed."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        asked = urllib.request.Request(  # noqa: S310 our own loopback server
            self.url + path, data=data, method=method, headers=sent | (headers or {})
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _NoRedirects, urllib.request.HTTPHandler
        )
        try:
            with opener.open(asked, timeout=timeout) as answer:
                return Answer(answer.status, _lower(answer.headers), answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, _lower(refusal.headers), refusal.read())

    @property
    def is_ready(self) -> bool:
        try:
            return self.request("/health/ready", timeout=2).status == 200
        except OSError:
            return False

    def command(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a `manage.py` command beside this server, on its data."""
        return manage(*arguments, environ=self.environ, stdin=stdin, timeout=timeout)

    def send_signal(self, sent: int = signal.SIGTERM) -> None:
        self.process.send_signal(sent)

    def wait(self, *, seconds: float = STOP_SECONDS) -> int:
        """The exit code, once it has ended."""
        return self.process.wait(seconds)

    def stop(self) -> None:
        """End it at once, whatever it is doing. Its log must have kept what is secret (G1)."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        canaries.refuse(self.log)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        return None


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def environment(data_dir: Path, *, port: int, **environ: str) -> dict[str, str]:
    """The variables of a server: this process's, without what belongs to another one."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return kept | {
        "DATA_DIR": str(data_dir),
        "ENV_FILE": os.devnull,
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        # Else the requests of a job would come in between those that a test counts.
        "AUTOMATIC_TITLES": "false",
        **environ,
    }


def manage(
    *arguments: str, environ: dict[str, str], stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@functools.cache
def _migrated() -> Path:
    """An SQLite database with its tables, made once for all servers of this process."""
    folder = Path(tempfile.mkdtemp(prefix="parley-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = manage("migrate", environ=environment(folder, port=8139))
    assert made.returncode == 0, made.stderr
    return folder / "parley.sqlite3"


def launch(data_dir: Path, *, first_start: bool = False, **environ: str) -> Server:
    """Start a server without waiting for it.

    Its tables are there already, unless this is to be the `first_start` of a bare folder.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (first_start or "DATABASE_URL" in environ or (data_dir / "parley.sqlite3").exists()):
        shutil.copyfile(_migrated(), data_dir / "parley.sqlite3")
    port = int(environ.pop("PORT", 0)) or free_port()
    variables = environment(data_dir, port=port, **environ)
    log_path = data_dir / f"server-{port}.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    return Server(process, port, data_dir, log_path, variables)


def wait_until_ready(server: Server, *, seconds: float = START_SECONDS) -> None:
    def is_ready() -> bool:
        assert server.process.poll() is None, f"The server ended:\n{server.log}"
        return server.is_ready

    until(is_ready, lambda: f"the server is ready in {seconds} s\n{server.log}", seconds=seconds)


@contextmanager
def running(data_dir: Path, *, first_start: bool = False, **environ: str) -> Iterator[Server]:
    """A server that is ready; ended when the block is left."""
    server = launch(data_dir, first_start=first_start, **environ)
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.stop()
