"""What stands in deploy/nginx/parley.conf, and what Parley promises behind it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tests.e2e import nginx
from tests.e2e.conftest import serving
from tests.e2e.person import API, events, register
from tests.e2e.test_wire import head, read_all, status
from tests.models_registry.upstream import DONE, Reply, Wait, answer, delta, finish, sse, usage
from tests.server import Server

pytestmark = nginx.needed


@pytest.fixture(scope="module")
def servers(tmp_path_factory, upstream) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("servers")
    with serving(folder, upstream, TRUSTED_PROXIES="127.0.0.1") as started:
        yield started


@pytest.fixture(scope="module")
def front(tmp_path_factory, servers) -> Iterator[Server]:
    with nginx.before(tmp_path_factory.mktemp("nginx") / "front", servers) as started:
        yield started


@pytest.fixture
def person(servers, front):
    """Known to Parley, and asking through nginx."""
    return replace(register(servers[0]), server=front)


def ask(front: Server, *parts: bytes, source: str = "127.0.0.1") -> bytes:
    with socket.create_connection(
        ("127.0.0.1", front.port), timeout=20, source_address=(source, 0)
    ) as opened:
        try:
            for part in parts:
                opened.sendall(part)
        except ConnectionError:
            pass  # refused before it has read all
        return read_all(opened)


def problem_of(answered: bytes) -> Any:
    top, _, body = answered.partition(b"\r\n\r\n")
    for line in (
        "content-type: application/problem+json",
        "x-content-type-options: nosniff",
        "referrer-policy: same-origin",
        "cross-origin-opener-policy: same-origin",
    ):
        assert line.encode() in top.lower(), answered[:500]
    return json.loads(body)


@pytest.mark.row("E2")
async def test_events_come_one_by_one_and_uncompressed(person, upstream):
    gates = [Wait(), Wait(), Wait()]
    words = ["One ", "two ", "three."]
    steps = [part for gate, word in zip(gates, words, strict=True) for part in (gate, word)]
    played = [sse(delta(each)) if isinstance(each, str) else each for each in steps]
    upstream.script(Reply((*played, sse(finish(), usage(), DONE))))
    url = f"{person.server.url}{API}conversations/{person.conversation()}/messages/stream"
    async with (
        aiohttp.ClientSession(headers=person.headers, auto_decompress=False) as session,
        session.post(url, json={"content": "Hi"}, headers={"Accept-Encoding": "gzip"}) as stream,
    ):
        assert stream.status == 200
        assert stream.headers["Cache-Control"] == "no-store, no-transform"
        assert "Content-Encoding" not in stream.headers
        coming = events(stream)
        async with asyncio.timeout(20):
            assert (await anext(coming))["type"] == "chat_start"
            for gate, word in zip(gates, words, strict=True):
                gate.set()
                assert (await anext(coming))["content"] == word
            assert [event["type"] async for event in coming] == ["chat_complete"]


async def test_a_socket_is_passed_on(person, upstream):
    upstream.script(answer("Hello."))
    async with person.socket() as opened:
        await opened.send(type="chat", content="Hi")
        end = (await opened.until("chat_complete", "chat_error"))[-1]

    assert end["message"]["content"] == "Hello."


@pytest.mark.row("R11")
def test_metrics_are_closed_to_who_comes_through_it(front):
    refused = front.request("/metrics")

    assert (refused.status, refused.json()["code"]) == (401, "unauthenticated")
    assert b"parley_active" not in refused.body


@pytest.mark.row("I2")
@pytest.mark.parametrize("name", ["X-Same", "Cookie"])
def test_ten_thousand_headers_are_431(front, name):
    answered = ask(front, head("GET", "/info", *[f"{name}: a=1"] * 10_000))

    assert status(answered) == 431
    assert problem_of(answered)["status"] == 431


@pytest.mark.row("I1", "X4")
@pytest.mark.parametrize("size", [(1 << 20) + 1, 3 << 20, 60 << 20])
def test_a_body_that_is_too_large_is_refused_with_a_problem(front, size):
    """Also above what nginx itself lets through."""
    lines = ["Content-Type: application/json", f"Content-Length: {size}", "Connection: close"]

    answered = ask(front, head("POST", f"{API}auth/login", *lines), b"x" * min(size, 2 << 20))

    assert status(answered) == 413
    assert problem_of(answered)["code"] == "payload_too_large"


@pytest.mark.row("R2")
def test_an_address_that_is_only_claimed_counts_for_nothing(front, servers):
    """Behind a proxy that is trusted, the last hop that it added is the caller."""
    lines = [
        *("X-Forwarded-For: 198.51.100.9", "X-Real-IP: 198.51.100.9"),
        *("Forwarded: for=198.51.100.9", "X-Request-ID: nginx-forged-1", "Connection: close"),
    ]

    assert status(ask(front, head("GET", "/info", *lines), source="127.0.0.2")) == 200

    [line] = [
        each
        for server in {each.port: each for each in servers}.values()
        for each in server.log.splitlines()
        if "nginx-forged-1" in each
    ]
    assert "127.0.0.2" in line
    assert "198.51.100.9" not in line
