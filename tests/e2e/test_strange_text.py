"""What a model says that would break a line, a database or an eye, from its wire to the reader."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.person import API
from tests.e2e.test_wire import head, read_all, status
from tests.events import text_of
from tests.models_registry.test_openai_characters import DICE, _raw_text
from tests.models_registry.upstream import DONE, Reply, Wait, answer, finish, sse, usage

EVIL = "a\n\ndata: x\r\nevent: execute\rid: 5\u2028b\u2029c\u0085\x1c"


async def said(person, upstream, *steps: bytes):
    """The events of a turn whose provider sent these bytes, and the message as it is stored."""
    pause = Wait()
    pause.set()  # a step of its own, so that two pieces are two reads
    apart = [part for step in steps for part in (step, pause)]
    upstream.script(Reply((*apart, sse(finish(), usage(), DONE))))
    path = f"conversations/{person.conversation()}/messages/stream"
    found = await person.read(path, {"content": "Hi"})
    stored = person.call("GET", f"messages/{found[0]['message_id']}").json()
    assert (stored["status"], found[-1]["message"]["status"]) == ("complete", "complete")
    assert found[-1]["message"]["content"] == stored["content"] == text_of(found)
    return stored["content"]


@pytest.mark.row("I5")
async def test_characters_cut_anywhere_come_whole_and_what_nothing_holds_is_replaced(
    person, upstream
):
    """On the database of the run."""
    raw = DICE.encode()
    whole = _raw_text(raw)
    at = whole.index(raw)
    for cut in range(1, 4):
        assert await said(person, upstream, whole[: at + cut], whole[at + cut :]) == DICE
        events = _raw_text(b"a" + raw[:cut]), _raw_text(raw[cut:] + b"b")
        assert await said(person, upstream, *events) == f"a{DICE}b"

    pair = _raw_text(rb"a\ud83c"), _raw_text(rb"\udfb2b")
    assert await said(person, upstream, *pair) == f"a{DICE}b"
    halves = _raw_text(rb"a\u0000b\udfb2c"), _raw_text(rb"d\ud83c")
    assert await said(person, upstream, *halves) == "a\ufffdb\ufffdcd\ufffd"
    assert "Traceback" not in person.server.log


@pytest.mark.row("E1")
async def test_text_that_looks_like_the_protocol_is_text(person, upstream):
    """Over the socket, too; `Person.read` has looked at each line."""
    upstream.script(answer(EVIL))
    async with person.socket() as opened:
        await opened.send(type="chat", content="Hi")
        heard = await opened.until("chat_complete", "chat_error")

    again = await person.read(f"messages/{heard[0]['message_id']}/stream")

    assert text_of(heard) == text_of(again) == EVIL
    assert [event["type"] for event in again] == ["chat_start", "chat_chunk", "chat_complete"]


@pytest.mark.row("E9")
def test_old_and_short_requests_for_a_stream_get_an_answer_that_ends(person, upstream):
    """HTTP/1.0 knows no chunks; HEAD and who accepts JSON alone get no stream."""
    upstream.script(answer("Hello."))
    path = f"conversations/{person.conversation()}/messages"
    sent = person.call("POST", path, {"content": "Hi"}).json()
    stream = f"{API}messages/{sent['message']['id']}/stream"
    bearer = f"Authorization: Bearer {person.token}"

    def ask(*lines: str, method: str = "GET", version: str = "1.1") -> tuple[bytes, bytes]:
        with socket.create_connection(("127.0.0.1", person.server.port), timeout=20) as opened:
            opened.sendall(head(method, stream, bearer, *lines, version=version))
            answered = read_all(opened)
        assert status(answered) == 200, answered
        top, _, body = answered.partition(b"\r\n\r\n")
        return top.lower(), body

    top, body = ask(version="1.0")
    assert b"transfer-encoding" not in top
    assert b"event: chat_complete" in body
    assert body.endswith(b"\n\n")
    for version in ("1.0", "1.1"):
        top, body = ask("Connection: close", method="HEAD", version=version)
        assert body == b""
        top, body = ask("Connection: close", "Accept: application/json", version=version)
        assert b"content-type: application/json" in top
        assert b'"Hello."' in body
