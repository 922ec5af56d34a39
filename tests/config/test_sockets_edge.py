"""W13, S20: a handshake on no address, or for no name of ours, ends cleanly."""

from __future__ import annotations

import pytest

from config.asgi import application


async def handshake(path: str, *, host: str = "testserver") -> list[dict]:
    sent = []
    scope = {
        "type": "websocket",
        "path": path,
        "headers": [(b"host", host.encode())],
        "subprotocols": [],
        "client": ("203.0.113.7", 5000),
    }

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    return sent


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
