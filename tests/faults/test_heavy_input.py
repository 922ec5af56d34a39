"""The worst that people can send, byte by byte or all at once (I2, R4, W7)."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from common.markdown import as_html
from tests.e2e.person import API, Person, register
from tests.e2e.wire import Wire, frame
from tests.faults.conftest import one_server
from tests.faults.measuring import Bystander, seconds_of
from tests.models_registry.upstream import answer
from tests.server import Server

WORST = ["a" * 100_000, "^" * 1_000_000, "a!" * 30_000, "-eyJ" * 50_000]


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream) -> Iterator[Server]:
    with one_server(tmp_path_factory.mktemp("heavy"), upstream) as started:
        yield started


@pytest.fixture
def person(server: Server) -> Person:
    return register(server)


def fields(conversation: str, text: str):
    yield "POST", f"conversations/{conversation}/messages", {"content": text}
    yield "POST", "chat", {"messages": [{"role": "user", "content": text}]}
    for name in ("title", "system_prompt", "model"):
        yield "POST", "conversations", {name: text}
    yield "POST", "conversations", {"parameters": {"a": text}}
    for name in ("display_name", "language", "timezone"):
        yield "PATCH", "users/me", {name: text}
    yield "PATCH", "users/me", {"preferences": {"a": text}}
    yield "PATCH", "users/me", {"email": text + "@example.com", "password": text}
    yield "POST", "auth/login", {"username": text, "password": "x"}
    yield "POST", "auth/register", {"username": text, "email": text, "password": text}
    yield "POST", "auth/refresh", {"refresh_token": text}
    yield "POST", "auth/forgot-password", {"email": text}
    connection = {"scope": "personal", "provider": "openai", "name": text, "api_key": text}
    yield "POST", "connections", connection | {"base_url": f"https://{text}/"}
    yield "GET", f"conversations?q={text[:20_000]}", None
    yield "GET", f"conversations?cursor={text[:20_000]}", None


@pytest.mark.row("R4")
@pytest.mark.parametrize("text", WORST, ids=["a", "caret", "a!", "tokens"])
def test_the_worst_of_inputs_is_quick_in_each_field(person, upstream, text):
    """R4: under 50 ms; here, 500."""
    upstream.script(answer("Good."))
    conversation = person.conversation()
    person.call("POST", f"conversations/{conversation}/messages", {"content": "Warm up."})
    waits = {}
    for method, path, body in fields(conversation, text):
        answers = []
        name = f"{method} {path[:40]} {list(body or {})}"
        waits[name] = min(
            seconds_of(lambda: answers.append(person.call(method, path, body)))  # noqa: B023 called now
            for _try in range(2)
        )
        assert answers[0].status < 500, name

    slow = {name: wait for name, wait in waits.items() if wait > 0.5}
    assert not slow


@pytest.mark.row("I2")
def test_a_body_that_drips_is_ended(server):
    """I2: within 40 s, whatever comes meanwhile."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as opened:
        lines = [
            f"POST {API}auth/login HTTP/1.1",
            "Host: 127.0.0.1",
            "Content-Type: application/json",
            "Content-Length: 1000",
        ]
        opened.sendall("\r\n".join([*lines, "", ""]).encode())
        told = b""
        while time.monotonic() - began < 120:
            try:
                opened.sendall(b" ")
                piece = opened.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            told += piece
            if not piece:
                break

    assert 20 < time.monotonic() - began < 120
    assert not told or told.startswith(b"HTTP/1.1 408")


@pytest.mark.row("W7")
async def test_a_flood_of_frames_is_closed_and_nobody_else_waits(alone):
    """W7: 4429 in under 2 s; here, 20."""
    with alone(LIMIT_FACTOR="1") as server:
        person = register(server)
        pings = frame(json.dumps({"type": "ping"}).encode()) * 100
        with Bystander(server) as bystander:
            wire = await Wire.open(person)
            began = time.monotonic()
            closing = asyncio.create_task(wire.close_code())
            with suppress(ConnectionError):
                while not closing.done() and time.monotonic() - began < 20:
                    wire.writer.write(pings)
                    await wire.writer.drain()
                    await asyncio.sleep(0.01)
            code = await closing

    assert time.monotonic() - began < 20
    assert code == 4429
    assert bystander.longest < 2


_MARKS = [
    *(
        "[",
        "![",
        "[a](",
        "[a]: b\n",
        "]",
        "*",
        "**a",
        "*a_ ",
        "_",
        "~",
        "~~a",
        ">",
        "> \n",
        "`",
        "a``b",
    ),
    *(
        "<",
        "<a ",
        "&",
        "&#",
        "&#65;",
        "&lt;",
        "\\",
        "\\*",
        "\\\n",
        ":",
        "|",
        "#",
        "- ",
        "  - ",
        "1. ",
        "---\n",
    ),
    *('"', "(", "\n", "a\n", "  \n", "\t", " ", "http://a.b "),
]


def _is_shown_as_it_stands(text: str) -> bool:
    return bool(re.match(r"<pre>(?!<code)", as_html(text)))


def _most_that_is_read(mark: str) -> int:
    """How often `mark` may stand in a text before that is no longer read as Markdown."""
    low, high = 1, 100_000 // len(mark)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if _is_shown_as_it_stands(mark * middle) else (middle, high)
    return low


def _processor_seconds(text: str) -> float:
    """Of this thread's own, the best of three."""
    times = []
    for _try in range(3):
        began = time.thread_time()
        as_html(text)
        times.append(time.thread_time() - began)
    return min(times)


@pytest.mark.parametrize("mark", _MARKS)
def test_markdown_is_linear(mark):
    """X6: as many of each as are read as Markdown at all, and twice as many as half of them."""
    most = _most_that_is_read(mark)

    half, whole = (_processor_seconds(mark * times) for times in (most // 2, most))

    assert not _is_shown_as_it_stands(mark * most)
    assert whole < 1
    assert whole < 3 * max(half, 0.01)


@pytest.mark.parametrize("mark", _MARKS)
def test_a_text_of_nothing_but_marks_takes_no_second(mark):
    """X6: 100 000 characters of each, read as Markdown or not."""
    assert _processor_seconds((mark * 100_000)[:100_000]) < 1


def test_a_table_of_ten_thousand_columns_takes_no_second():
    """X6"""
    began = time.thread_time()

    as_html("\n".join("|" + cell * 10_000 for cell in ("a|", "-|", "b|")))

    assert time.thread_time() - began < 1
