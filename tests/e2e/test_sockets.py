"""What only a real server can promise of its sockets: sizes, slow peers, handshakes."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
import websockets

from tests.e2e.person import SECONDS, register
from tests.e2e.wire import Wire, frame, opened
from tests.events import text_of
from tests.models_registry.upstream import HANG, Reply, answer, delta, sse


@pytest.fixture(autouse=True)
async def _closed_at_the_end():
    yield
    while opened:
        opened.pop().transport.abort()


def _code(closed: websockets.ConnectionClosed) -> int | None:
    return closed.rcvd.code if closed.rcvd else None


async def others_are_served(person) -> None:
    """A socket of its own is opened and answered."""
    async with person.socket() as socket:
        await socket.send(type="ping")
        assert (await socket.get())["type"] == "pong"


@pytest.mark.row("W5")
async def test_a_message_of_64_kib_is_read_and_one_more_byte_closes_1009(person):
    wire = await Wire.open(person)
    filler = b'{"type": "ping", "x": "' + b"a" * 65_511
    wire.writer.write(frame(filler + b'"}'))
    opcode, payload = await wire.get()
    assert (opcode, json.loads(payload)["type"]) == (1, "pong")

    wire.writer.write(frame(filler + b'a"}'))

    assert await wire.close_code() == 1009


async def test_hundreds_of_frames_in_one_write_are_answered_in_order(person):
    """Others have their turn between them."""
    wire = await Wire.open(person)
    refs = [str(number) for number in range(350)]
    pings = (json.dumps({"type": "ping", "ref": ref}).encode() for ref in refs)
    wire.writer.write(b"".join(map(frame, pings)))

    assert [json.loads((await wire.get())[1])["ref"] for _ref in refs] == refs


async def test_a_peer_that_floods_on_when_it_was_told_to_go_is_not_read_any_more(person):
    """Else what nobody wants is parsed until it is dropped, and all others wait."""
    wire = await Wire.open(person)
    wire.writer.write(frame(b"no JSON") * 2_100)
    assert await wire.close_code() == 4400
    taken = 0
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                wire.writer.write(frame(b"a" * 60_000))
                await wire.writer.drain()
                taken += 60_000
    except ConnectionError:
        pass

    assert taken < 16 << 20  # and most of that by the kernel
    await others_are_served(person)


@pytest.mark.row("W5")
async def test_a_gigabyte_in_fragments_is_cut_off_and_costs_little(person):
    """W5: counted over all fragments, before parsing."""
    wire = await Wire.open(person)
    before = person.server.memory
    try:
        wire.writer.write(frame(b"a" * 10_000, final=False))
        for _ in range(100):
            wire.writer.write(frame(b"a" * 10_000, opcode=0, final=False))
            await wire.writer.drain()
    except ConnectionError:
        pass

    assert await wire.close_code() in {1009, None}
    assert person.server.memory - before < 32 << 20
    await others_are_served(person)


@pytest.mark.row("W5")
async def test_empty_fragments_without_end_are_cut_off(person):
    """W5: others answer within a second meanwhile."""
    wire = await Wire.open(person)
    before = person.server.memory
    flood = frame(b"", opcode=0, final=False) * 10_000
    try:
        wire.writer.write(frame(b"", final=False))
        for _ in range(200):
            wire.writer.write(flood)
            await asyncio.wait_for(wire.writer.drain(), SECONDS)
            await others_are_served(person)
            if wire.reader.at_eof() or wire.writer.is_closing():
                break
    except ConnectionError:
        pass

    assert await wire.close_code() is None
    assert person.server.memory - before < 32 << 20


@pytest.mark.row("W5")
async def test_compression_is_not_offered(person):
    """W5: no deflate, no bomb."""
    wire = await Wire.open(person, extra="Sec-WebSocket-Extensions: permessage-deflate\r\n")

    assert b" 101 " in wire.answer
    assert b"permessage-deflate" not in wire.answer


async def test_a_flood_of_pings_that_reads_no_pong_is_cut_off(person):
    wire = await Wire.open(person)
    before = person.server.memory
    pings = frame(b"p" * 125, opcode=9) * 1_000
    try:
        for _ in range(200):
            wire.writer.write(pings)
            await asyncio.wait_for(wire.writer.drain(), SECONDS)
    except (ConnectionError, TimeoutError):
        pass

    assert person.server.memory - before < 32 << 20
    await others_are_served(person)
    wire.writer.close()


@pytest.mark.row("W6")
async def test_a_peer_that_stops_reading_is_dropped_and_resumes_the_same(person, upstream):
    """W6: a megabyte that nobody takes; the process holds little of it."""
    words = [f"{number:06} " * 100 for number in range(1_400)]
    upstream.script(Reply((*(sse(delta(word)) for word in words), *answer().steps)))
    await person.read("chat", {"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    slow = await Wire.open(person)
    # Else its kernel makes room for the whole answer now and then, and nobody notices.
    its_socket = slow.writer.get_extra_info("socket")
    its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    before = person.server.memory
    slow.writer.write(frame(json.dumps({"type": "chat", "content": "much"}).encode()))
    _opcode, payload = await slow.get()
    message_id = json.loads(payload)["message_id"]
    async with person.socket() as other:
        await other.send(type="resume", message_id=message_id, after=-1)
        whole = await other.until("chat_complete", "chat_error")

        # `slow` has read nothing meanwhile: it is told 4408, if that still fits, and dropped.
        await others_are_served(person)
        async with asyncio.timeout(SECONDS):
            while person.server.request("/health").json()["active_connections"] > 1:
                await asyncio.sleep(0.1)
        # The turn itself, which costs the same whoever reads it: its log, and the job that indexes
        # its megabyte for search. The reader's own share is measured in tests/faults.
        assert person.server.memory - before < 24 << 20
        assert await slow.close_code() in {4408, None}

        await other.send(type="resume", message_id=message_id, after=0)
        again = await other.until("chat_complete", "chat_error")

    assert text_of(whole) == text_of(again) == "".join(words)


@pytest.mark.row("W13")
async def test_http_on_a_socket_path_and_a_socket_on_an_http_path_are_refused(person, servers):
    assert person.server.request("/ws/chat").status in {404, 426}
    for path in ("/api/v1/conversations", "/ws/nowhere"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(f"ws://127.0.0.1:{person.server.port}{path}"):
                pass
        assert refused.value.response.status_code in {403, 404}
    assert "Traceback" not in person.server.log


async def test_a_handshake_with_large_headers_passes(person):
    """Big cookies do this in production; uvicorn's default WebSocket protocol hangs on them."""
    wire = await Wire.open(person, extra=f"Cookie: a={'x' * 30_000}\r\n")

    assert b" 101 " in wire.answer


@pytest.mark.row("W2", "G1")
async def test_no_log_holds_a_token_of_a_socket(person):
    """W2: wherever it was put."""
    async with person.socket() as socket:
        await socket.send(type="authenticate", access_token=person.token)
        await socket.get()
    url = f"ws://127.0.0.1:{person.server.port}/ws/chat?token={person.token}"
    async with websockets.connect(url) as refused:
        told = json.loads(await refused.recv())
        assert told["code"] == "unauthenticated"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await refused.recv()
        assert _code(closed.value) == 4401

    assert person.token not in person.server.log


@pytest.mark.row("W3")
async def test_a_refused_socket_that_does_not_answer_the_close_is_gone(person):
    """W3: whatever the peer does; its five seconds are measured in tests/faults."""
    stranger = type(person)(person.server, "nonsense", "nobody")
    wire = await Wire.open(stranger)

    async with asyncio.timeout(SECONDS):
        assert await wire.close_code() == 4401
        assert await wire.reader.read() == b""


@pytest.mark.row("S4")
async def test_suspension_reaches_sockets_and_streams_of_a_running_server(servers_at, upstream):
    """Within five seconds, and on every process."""
    upstream.script(Reply((sse(delta("a")), HANG)))
    with servers_at() as (first, second):
        person = register(first)
        conversation = person.conversation()
        async with (
            person.socket(at=second) as socket,
            person.stream(
                f"conversations/{conversation}/messages/stream", {"content": "Hi"}
            ) as stream,
        ):
            assert (await anext(stream))["type"] == "chat_start"
            first.command("user", "suspend", person.username)
            async with asyncio.timeout(5):
                rest = [event["type"] async for event in stream]
                assert (await socket.get())["type"] == "chat_start"
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await socket.get()

    assert _code(closed.value) == 4401
    assert "chat_complete" not in rest


@pytest.mark.row("F2")
async def test_sockets_hear_1012_when_the_server_goes(servers_at):
    """F2."""
    with servers_at() as (first, _second):
        person = register(first)
        async with person.socket() as socket:
            first.send_signal()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.get()
        first.wait()

    assert _code(closed.value) == 1012
