"""What the README and the guides show a newcomer works as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.server import ROOT, Server, running

ADDRESS = "127.0.0.1:8000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("readme")) as started:
        yield started


def _blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text)


def _run(command: list[str], *, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, code], capture_output=True, text=True, check=False, timeout=60)


def test_the_first_conversation_by_curl(server):
    script = next(block for block in _blocks("README.md", "bash") if "curl" in block)

    shown = _run(["bash", "-ec"], code=script.replace(ADDRESS, f"127.0.0.1:{server.port}"))

    assert shown.returncode == 0, shown.stderr
    events = re.findall(r"(?m)^event: (\w+)$", shown.stdout)
    assert events[0] == "chat_start"
    assert "chat_chunk" in events
    assert events[-1] == "chat_complete"


def test_the_first_conversation_by_python(server):
    program = _blocks("README.md", "python")[0]

    shown = _run([sys.executable, "-c"], code=program.replace(ADDRESS, f"127.0.0.1:{server.port}"))

    assert shown.returncode == 0, shown.stderr
    assert "conversation" in shown.stdout.lower()


def test_the_guide_s_socket_program(server):
    person = {"username": "iris", "email": "iris@example.com", "password": "correct horse battery"}
    registered = server.request("/api/v1/auth/register", method="POST", body=person)
    program = next(block for block in _blocks("docs/api.md", "python") if "websockets" in block)

    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            program.replace(ADDRESS, f"127.0.0.1:{server.port}"),
            registered.json()["access_token"],
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip()
