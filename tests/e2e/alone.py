"""Run in a network namespace of its own: brings loopback up, starts a server, uses it.

`python -m tests.e2e.alone FOLDER`; prints "worked" at the end.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from pathlib import Path

from tests.server import running

_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x41


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))


def main(folder: Path) -> None:
    bring_loopback_up()
    with running(folder) as server:
        person = {"username": "ana.test", "email": "ana@example.com", "password": "correct-horse-9"}
        token = server.request("/api/v1/auth/register", method="POST", body=person).json()
        answer = server.request(
            "/api/v1/chat",
            method="POST",
            body={"messages": [{"role": "user", "content": "How do I connect a model?"}]},
            headers={"Authorization": f"Bearer {token['access_token']}"},
        )
        assert answer.status == 200, answer.body
        assert answer.json()["content"]
        for path in ("/", "/docs", "/redoc", "/health", "/admin/login/", "/api/v1/schema"):
            assert server.request(path, headers={"Accept": "text/html"}).status == 200, path
    sys.stdout.write("worked\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
