"""What docs/troubleshooting.md quotes is what the server says, word by word."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import once
from tests.e2e.documents import blocks
from tests.e2e.refusing import postgresql_that_says
from tests.models_registry.upstream import Upstream, refusal
from tests.server import Server, environment, free_port, manage

pytestmark = once

GUIDE = "docs/troubleshooting.md"
KEY = "sk-troubled-0123456789"


def start(folder: Path, **environ: str) -> str:
    """What a start says that cannot succeed."""
    ended = manage("serve", environ=environment(folder, port=free_port(), **environ))
    assert ended.returncode == 1
    return ended.stdout + ended.stderr


def port_taken(folder: Path, server: Server) -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return start(folder, PORT=str(taken.getsockname()[1]))


def second_server(folder: Path, server: Server) -> str:
    return start(server.data_dir)


def wrong_value(folder: Path, server: Server) -> str:
    return start(folder, TURN_SECONDS="soon")


def bare_production(folder: Path, server: Server) -> str:
    return start(folder, PRODUCTION="true")


def database_away(folder: Path, server: Server) -> str:
    url = "postgres://parley@127.0.0.1:9/parley"
    return start(folder, DATABASE_URL=url, DATABASE_WAIT_SECONDS="0")


def database_missing(folder: Path, server: Server) -> str:
    with postgresql_that_says("3D000") as (address, _came):
        return start(folder, DATABASE_URL=address.replace("nothing", "parley"))


def no_token(folder: Path, server: Server) -> str:
    return server.request("/api/v1/users/me").body.decode()


def dead_token(folder: Path, server: Server) -> str:
    return server.request("/api/v1/users/me", headers={"Authorization": "Bearer x"}).body.decode()


def foreign_host(folder: Path, server: Server) -> str:
    return server.request("/", headers={"Host": "chat.example.com"}).body.decode()


def foreign_socket(folder: Path, server: Server) -> str:
    # urllib would say `Connection: close`.
    asking = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": "https://app.example.com",
    }
    asking.request("GET", "/ws/chat", headers=asked)
    said = asking.getresponse().read().decode()
    asking.close()
    return said


def provider_refused(folder: Path, server: Server) -> str:
    upstream = Upstream()
    upstream.list_reply = refusal(401)
    try:
        return connect(server, upstream.url)
    finally:
        upstream.close()


def provider_away(folder: Path, server: Server) -> str:
    return connect(server, f"http://127.0.0.1:{free_port()}/v1")


def connect(server: Server, url: str) -> str:
    ended = server.command(
        *("connection", "add", "--provider", "openai_compatible", "--name", "Ollama"),
        *("--base-url", url, "--key-stdin", "--discover"),
        stdin=f"{KEY}\n",
    )
    assert ended.returncode == 1
    assert KEY not in ended.stderr
    return ended.stderr


def two_people(folder: Path, server: Server) -> str:
    for name in ("ada", "mina"):
        person = {"username": name, "email": f"{name}@example.com", "password": "correct horse 9"}
        server.request("/api/v1/auth/register", method="POST", body=person)
    return server.command("chat", "Hello").stderr


TROUBLES: list[Callable[[Path, Server], str]] = [
    port_taken, second_server, wrong_value, bare_production, database_away, database_missing,
    no_token, dead_token, foreign_host, foreign_socket, provider_refused, provider_away, two_people,
]  # fmt: skip


def quoted() -> list[str]:
    return [
        line
        for block in blocks(GUIDE)
        if block.language == "text"
        for line in block.code.splitlines()
    ]


def is_said(line: str, said: str) -> bool:
    """`…` stands for anything; so does the number of a port."""
    pattern = re.sub(r"PORT=\d+|:\d{4,5}|port \d", "…", line)
    return bool(re.search(".*".join(map(re.escape, pattern.split("…"))), said))


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, shared_server: Server) -> dict[str, str]:
    return {
        str(trouble.__name__): trouble(tmp_path_factory.mktemp("trouble"), shared_server)
        for trouble in TROUBLES
    }


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda each: str(each.__name__))
def test_the_guide_quotes_what_is_said_of(said, trouble):
    shown = said[trouble.__name__]

    assert [line for line in quoted() if line != "Parley cannot start." and is_said(line, shown)]


def test_nothing_is_quoted_that_is_not_said(said):
    whole = "\n".join(said.values())

    assert [line for line in quoted() if not is_said(line, whole)] == []
