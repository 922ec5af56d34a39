"""Databases that are there and do not let anybody in."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postgresql_that_says(state: str) -> Iterator[tuple[str, list[str]]]:
    """The address of one that refuses whoever comes, in Chinese, and the names of those."""
    came: list[str] = []
    fields = f"S致命错误\0VFATAL\0C{state}\0M不行\0\0".encode()

    class Refusing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while True:
                (length,) = struct.unpack("!i", self.rfile.read(4))
                asked = self.rfile.read(length - 4)
                if asked[:2] == b"\x00\x03":  # the version: this is no wish for TLS
                    break
                self.wfile.write(b"N")
            came.append(asked.decode())
            self.wfile.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"postgres://ruth:pass-1234@127.0.0.1:{server.server_address[1]}/nothing", came
        server.shutdown()
