"""A real server and bare sockets: what no client library would send."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.body_limits import limit_of
from tests.e2e.conftest import once
from tests.server import Server

pytestmark = once

HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


ANY_ADDRESS = (
    *("/api/v1/nothing", "/v1/chat/completions", "/admin/login/"),
    *("/api/v1/conversations/import", "/static/x", "/ws/chat"),
)


@contextmanager
def wire(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as opened:
        yield opened


def read_all(opened: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    try:
        while piece := opened.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def head(
    method: str, path: str, *lines: str, host: str = "127.0.0.1", version: str = "1.1"
) -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/{version}", f"Host: {host}", *lines, "", ""]
    ).encode()


def ask(server: Server, *request: bytes) -> bytes:
    with wire(server) as opened:
        for part in request:
            opened.sendall(part)
        return read_all(opened)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def resident_bytes(server: Server) -> int:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.row("E9")
def test_http_1_0_gets_a_whole_answer(shared_server):
    """E9: no chunks for a client that does not know them."""
    answer = ask(shared_server, head("GET", "/info", version="1.0"))

    top, _, body = answer.partition(b"\r\n\r\n")
    assert status(answer) == 200
    assert b"transfer-encoding" not in top.lower()
    assert body.startswith(b"{")
    assert body.endswith(b"}")


def test_head_gets_no_body(shared_server):
    answer = ask(shared_server, head("HEAD", "/info", "Connection: close"))

    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.row("I1")
def test_an_endless_chunked_body_is_ended_at_any_address(server_at, tmp_path):
    """I1: a gigabyte in chunks: ended by 2 x limit, memory stays, no file in the temp folder."""
    spool = tmp_path / "spool"
    spool.mkdir()
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    kinds = ("Transfer-Encoding: chunked", "Content-Type: application/json")
    with server_at(TMPDIR=str(spool)) as server:
        before = resident_bytes(server)
        for path in ANY_ADDRESS:
            sent = 0
            with wire(server) as opened, contextlib.suppress(OSError):
                opened.sendall(head("POST", path, *kinds))
                while sent < 1 << 30:
                    opened.sendall(chunk)
                    sent += 0x10000
            # What the kernel's buffers on both sides swallow comes on top.
            assert sent < 2 * limit_of(path) + (30 << 20), path
        assert resident_bytes(server) - before < 96 << 20
        assert server.request("/health/live").status == 200
        assert list(spool.iterdir()) == []


def test_a_body_a_little_too_large_gets_its_answer(shared_server):
    body = b"x" * ((1 << 20) + 1)

    answer = ask(
        shared_server,
        head(
            "POST",
            "/api/v1/auth/login",
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
        ),
        body,
    )

    assert status(answer) == 413
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()


@pytest.mark.row("W13")
@pytest.mark.parametrize("path", ["/ws/nothing", "/", "/api/v1/models"])
def test_a_handshake_on_no_socket_is_refused(shared_server, path):
    answer = ask(shared_server, head("GET", path, *HANDSHAKE))

    assert status(answer) in {403, 404, 426}


@pytest.mark.row("W13")
def test_http_on_a_socket_address_is_not_found(shared_server):
    """W13: the reverse."""
    assert status(ask(shared_server, head("GET", "/ws/chat", "Connection: close"))) in {404, 426}


@pytest.mark.row("S20")
def test_a_foreign_host_gets_no_socket(shared_server):
    """A page on a name that resolves to 127.0.0.1."""
    answer = ask(shared_server, head("GET", "/ws/chat", *HANDSHAKE, host="evil.example"))

    assert status(answer) in {400, 403}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: abc\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /info?%ff=%00 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: "
        + b"a-" * 3_000
        + b"\r\nConnection: close\r\n\r\n",
        b"GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: \xff\xfe=\x80\r\n"
        b"Connection: close\r\n\r\n",
        b"GET http://evil.example/info HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    ],
)
def test_no_request_causes_a_500(shared_server, request_bytes):
    answer = ask(shared_server, request_bytes)

    assert answer == b"" or status(answer) < 500


def test_static_files_come_before_django_and_stay_at_home(shared_server):
    found = shared_server.request("/static/parley/tokens.css")
    outside = [
        shared_server.request(path).status
        for path in (
            "/static/../manage.py",
            "/static/%2e%2e/manage.py",
            "/static//etc/passwd",
            "/static/parley/../../manage.py",
            "/static/parley/",
        )
    ]

    assert found.status == 200
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["x-request-id"]
    assert found.headers["content-type"].startswith("text/css")
    assert b"--canvas" in found.body
    again = shared_server.request(
        "/static/parley/tokens.css", headers={"If-None-Match": found.headers["etag"]}
    )
    assert (again.status, again.body) == (304, b"")
    assert outside == [404] * 5


def test_what_is_no_http_is_refused_with_a_problem(shared_server):
    answer = ask(shared_server, b"this is no request\r\n\r\n")
    lines, _, body = answer.partition(b"\r\n\r\n")
    headers = lines.lower().split(b"\r\n")

    assert status(answer) == 400
    assert b"content-type: application/problem+json" in headers
    assert b"x-content-type-options: nosniff" in headers
    assert b"connection: close" in headers
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (400, "invalid")
    assert f"x-request-id: {problem['request_id']}".encode() in headers
    [line] = [each for each in shared_server.log.splitlines() if problem["request_id"] in each]
    assert " status=400" in line


@pytest.mark.row("W13")
@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (head("GET", "/ws/chat", *HANDSHAKE[:2], HANDSHAKE[3]), 400),
        (head("GET", "/ws/chat", *HANDSHAKE[:3]), 400),
        (head("POST", "/ws/chat", *HANDSHAKE), 400),
        (head("GET", "/ws/chat", *HANDSHAKE, host="xn--\N{LATIN SMALL LETTER SHARP S}"), 400),
        (head("GET", "/ws/chat", *HANDSHAKE[:2], "Sec-WebSocket-Version: 8", HANDSHAKE[3]), 426),
        (head("GET", "/ws/chat", *HANDSHAKE, version="1.0"), 400),
    ],
    ids=["no version", "no key", "no GET", "strange host", "another version", "HTTP/1.0"],
)
def test_what_is_no_handshake_is_refused_with_a_problem(shared_server, request_head, expected):
    answer = ask(shared_server, request_head)
    lines, _, body = answer.partition(b"\r\n\r\n")
    headers = lines.lower().split(b"\r\n")

    assert status(answer) == expected
    assert b"content-type: application/problem+json" in headers
    assert b"x-content-type-options: nosniff" in headers
    assert expected == 400 or b"sec-websocket-version: 13" in headers
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (expected, "invalid")
    assert f"x-request-id: {problem['request_id']}".encode() in headers
    [line] = [each for each in shared_server.log.splitlines() if problem["request_id"] in each]
    assert f" status={expected}" in line


def test_nothing_of_all_this_left_a_traceback(shared_server):
    """Above all rows: no input causes a 500. Runs last in this file."""
    ask(shared_server, b"nonsense\r\n\r\n")

    # What is not in the log was not written there, rather than not kept.
    assert " status=400" in shared_server.log
    assert "Traceback" not in shared_server.log
    assert " status=500" not in shared_server.log
