"""`manage.py chat` as a process of its own, in a pipe or in a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from tests.server import ROOT, environment
from tests.waiting import until

SECONDS = 60
ENTER, UP, CTRL_C, CTRL_D, ALT_ENTER = "\r", "\x1b[A", "\x03", "\x04", "\x1b\r"
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[=>78])")
_WHERE_IS_THE_CURSOR = b"\x1b[6n"


def database_url() -> str:
    """The database of the running test, for another process."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    password = f":{quote(found['PASSWORD'])}" if found["PASSWORD"] else ""
    host = f"{found['HOST'] or '127.0.0.1'}:{found['PORT'] or 5432}"
    return f"postgres://{found['USER']}{password}@{host}/{found['NAME']}"


@dataclass
class Terminal:
    """Runs the command on the test's database; each test has a folder of its own."""

    data_dir: Path

    def environ(self, **environ: str) -> dict[str, str]:
        variables = {
            "DATABASE_URL": database_url(),
            "REDIS_URL": settings.REDIS_URL,
            "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
            "TERM": "xterm-256color",
        }
        return environment(self.data_dir, port=8179, **(variables | environ))

    def run(
        self, *arguments: str, piped: bytes | str = b"", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; without `piped` the pipe is empty."""
        data = piped.encode() if isinstance(piped, str) else piped
        done = subprocess.run(
            _command(arguments),
            cwd=ROOT,
            env=self.environ(**environ),
            input=data,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    @contextmanager
    def piped(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """One that goes on while the test looks; ended when the block is left."""
        process = subprocess.Popen(
            _command(arguments),
            cwd=ROOT,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    @contextmanager
    def talking(self, *arguments: str, **environ: str) -> Iterator[Tty]:
        """One in a terminal of its own."""
        tty = Tty(_command(arguments), self.environ(**environ))
        try:
            yield tty
        finally:
            tty.close()


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "manage.py", "chat", *arguments]


class Tty:
    """A terminal with a process in it."""

    def __init__(self, command: list[str], environ: dict[str, str], cwd: Path = ROOT) -> None:
        self._master, slave = os.openpty()
        termios.tcsetwinsize(self._master, (30, 100))
        self._raw = b""
        self._seen = 0
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environ,
            preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509 the child only execs
        )
        # Kept open: the terminal's modes are looked at after the process has gone.
        self._slave = slave
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def screen(self) -> str:
        """Everything that was written, without colours and movements."""
        return _ESCAPES.sub("", self._raw.decode(errors="replace"))

    @property
    def raw(self) -> str:
        return self._raw.decode(errors="replace")

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def expect(self, text: str) -> None:
        """Wait until `text` is written, after what was expected before."""
        try:
            until(lambda: text in self.screen[self._seen :], "", seconds=SECONDS)
        except AssertionError:
            ended = self.process.poll()
            message = f"{text!r} is not shown; exit code {ended}; there is:\n{self.screen}"
            raise AssertionError(message) from None
        self._seen = self.screen.index(text, self._seen) + len(text)

    def expect_prompt(self) -> None:
        """Wait until it is the person's turn: the line below the prompt is drawn last."""
        self.expect(" · /help")

    def ask(self, line: str) -> None:
        self.type(line + ENTER)

    def exit_code(self) -> int:
        return self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(SECONDS)
        os.close(self._slave)
        self._reader.join(SECONDS)
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self._raw += data
            for _asked in range(data.count(_WHERE_IS_THE_CURSOR)):
                os.write(self._master, b"\x1b[1;1R")
