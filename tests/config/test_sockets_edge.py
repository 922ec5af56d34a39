"""W13, S20: a handshake on no address, or for no name of ours, ends cleanly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.asgi import application


async def handshake(path: str, *, host: str = "testserver", **more: Any) -> list[dict[str, Any]]:
    sent = []
    scope = {
        "type": "websocket",
        "path": path,
        "headers": [(b"host", host.encode())],
        "subprotocols": [],
        "client": ("203.0.113.7", 5000),
    } | more

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    return sent


@pytest.mark.row("W13")
@pytest.mark.parametrize(
    "path", ["/", "/ws", "/ws/", "/ws/nothing", "/ws/chat/x", "/api/v1/models", "//"]
)
async def test_an_unknown_path_is_refused_before_acceptance(path, caplog):
    sent = await handshake(path)

    assert [message["type"] for message in sent] == ["websocket.close"]
    assert not caplog.records


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.nip.io", "", "[::"])
async def test_a_foreign_host_is_refused_before_acceptance(host):
    sent = await handshake("/ws/chat", host=host)

    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.row("S20")
async def test_of_two_hosts_none_is_ours():
    """As over HTTP: which of them a proxy went by is for nobody to guess."""
    hosts = [(b"host", b"testserver"), (b"host", b"evil.example")]

    sent = await handshake("/ws/chat", headers=hosts)

    assert [message["type"] for message in sent] == ["websocket.close"]


FOREIGN = [(b"host", b"testserver"), (b"origin", b"http://evil.example")]


@pytest.mark.row("W1", "W13", "S20")
@pytest.mark.parametrize(
    ("path", "more", "status", "code"),
    [
        ("/ws/nothing", {}, 404, "not_found"),
        ("/ws/chat", {"host": "evil.example"}, 403, "permission_denied"),
        ("/ws/chat", {"headers": FOREIGN}, 403, "permission_denied"),
        ("/ws/chat", {"subprotocols": ["bearer.x"]}, 403, "permission_denied"),
    ],
    ids=["unknown path", "foreign host", "foreign origin", "no parley.v1"],
)
@pytest.mark.django_db(transaction=True)
async def test_a_server_that_knows_how_answers_with_a_problem_and_its_request_id(
    path, more, status, code
):
    """W1, W13: uvicorn does."""
    start, body = await handshake(path, extensions={"websocket.http.response": {}}, **more)

    headers = dict(start["headers"])
    problem = json.loads(body["body"])
    assert start["status"] == problem["status"] == status
    assert headers[b"content-type"] == b"application/problem+json"
    assert problem["code"] == code
    assert headers[b"referrer-policy"] == b"same-origin"  # X4
    assert len(problem["request_id"]) >= 8
    assert headers[b"x-request-id"].decode() == problem["request_id"]


@pytest.mark.row("I12")
async def test_a_refused_handshake_keeps_a_sane_request_id():
    start, body = await handshake(
        "/ws/nothing",
        extensions={"websocket.http.response": {}},
        headers=[
            (b"host", b"testserver"),
            (b"x-request-id", b"mine-12345"),
        ],
    )

    problem = json.loads(body["body"])
    assert dict(start["headers"])[b"x-request-id"] == b"mine-12345"
    assert problem["request_id"] == "mine-12345"
