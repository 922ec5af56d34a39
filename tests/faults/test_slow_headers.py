"""Headers that come byte by byte, to the shipped nginx."""

from __future__ import annotations

import socket
import time

import pytest

from tests.e2e import nginx

pytestmark = nginx.needed


@pytest.mark.row("I2")
def test_headers_that_drip_are_ended(alone, tmp_path):
    """Within 10 s; here, 100."""
    with alone() as server, nginx.before(tmp_path / "nginx", [server, server]) as front:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", front.port), timeout=1) as opened:
            opened.sendall(b"GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
            ended = False
            while not ended and time.monotonic() - began < 100:
                try:
                    opened.sendall(b"a")
                    ended = not opened.recv(65_536)
                except TimeoutError:
                    continue
                except ConnectionError:
                    ended = True

    assert ended
    assert time.monotonic() - began < 100
