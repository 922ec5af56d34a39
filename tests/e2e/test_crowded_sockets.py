"""Who gets a socket or a stream of a real server, how many, and what frames do to it."""

from __future__ import annotations

import json
import re
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest
import websockets

from tests.chat.sockets.test_frames import BAD
from tests.e2e.conftest import once
from tests.e2e.person import API, events, register
from tests.e2e.test_quotas import CHIEF
from tests.e2e.test_wire import HANDSHAKE, head, status
from tests.e2e.wire import Wire, frame
from tests.models_registry.upstream import HANG, Reply, delta, sse


async def cookies_of(server) -> str:
    """Those of a browser in which the administrator has signed in."""
    jar = aiohttp.CookieJar(unsafe=True)  # which means: of an address without a name, too
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        login = f"{server.url}/admin/login/"
        async with browser.get(login) as page:
            token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', await page.text())
        assert token
        form = {
            "username": CHIEF["ADMIN_USERNAME"],
            "password": CHIEF["ADMIN_PASSWORD"],
            "csrfmiddlewaretoken": token[1],
        }
        async with browser.post(
            login, data=form, headers={"Origin": server.url}, allow_redirects=False
        ) as entered:
            assert entered.status == 302, await entered.text()
    return "; ".join(f"{each.key}={each.value}" for each in jar)


def handshake(server, *lines: str) -> int:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as opened:
        asked = head("GET", "/ws/chat", *HANDSHAKE, *lines, host=f"127.0.0.1:{server.port}")
        opened.sendall(asked)
        return status(opened.recv(65_536))


@once
@pytest.mark.row("W1")
async def test_a_good_cookie_opens_a_socket_to_pages_of_the_site_alone(server_at):
    with server_at(**CHIEF) as server:
        cookie = f"Cookie: {await cookies_of(server)}"
        port = server.port
        answered = {
            origin: handshake(server, cookie, *([f"Origin: {origin}"] if origin else []))
            for origin in (
                server.url,
                "",
                "null",
                "http://evil.example",
                f"http://evil.example:{port}",
                f"https://127.0.0.1:{port}",
                "http://127.0.0.1",
                f"http://127.0.0.1:{port + 1}",
                f"http://127.0.0.1:{port}.evil.example",
            )
        }

    assert answered.pop(server.url) == 101
    assert set(answered.values()) == {403}


@pytest.mark.row("W9")
async def test_no_bad_frame_ends_a_socket(person):
    async with person.socket() as opened:
        short = {name: bad for name, bad in BAD.items() if len(bad) < 65_536}  # else row W5
        for name, bad in short.items():
            await opened.connection.send(bad)
            told = await opened.get()
            assert (told["type"], told["code"]) == ("error", "invalid"), name
            await opened.send(type="ping", ref="r")
            assert await opened.get() == {"type": "pong", "ref": "r"}, name

    assert "Traceback" not in person.server.log


@pytest.mark.row("W9")
@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", b'{"type": "ping\xc3"}'])
async def test_text_that_is_no_utf8_ends_its_socket_as_the_protocol_says(person, text):
    """RFC 6455, 8.1."""
    wire = await Wire.open(person)
    wire.writer.write(frame(text))

    assert await wire.close_code() == 1007
    wire.writer.close()
    assert "Traceback" not in person.server.log


@pytest.mark.row("W8")
async def test_the_hundred_and_first_socket_of_a_person_closes_the_oldest(servers_at):
    with servers_at(LIMIT_FACTOR="1") as (server, _other):
        person = register(server)
        async with AsyncExitStack() as stack:
            oldest, second, *_more, newest = [
                await stack.enter_async_context(person.socket()) for _socket in range(101)
            ]

            with pytest.raises(websockets.ConnectionClosed) as closed:
                await oldest.get()
            for kept in (second, newest):
                await kept.send(type="ping")
                assert (await kept.get())["type"] == "pong"

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4409


@pytest.mark.row("E5")
async def test_one_turn_and_one_stream_too_many_are_refused_before_the_first_byte(
    servers_at, upstream
):
    upstream.script(Reply((sse(delta("a")), HANG)))
    with servers_at(LIMIT_FACTOR="1") as (server, _other):
        person = register(server)
        everywhere = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=person.headers, connector=everywhere) as session:

            async def send():
                path = f"conversations/{person.conversation()}/messages/stream"
                return await session.post(f"{server.url}{API}{path}", json={"content": "Hi"})

            async def refused(answered):
                problem = json.loads(await answered.read())
                assert answered.content_type == "application/problem+json"
                assert int(answered.headers["Retry-After"]) >= 1
                return answered.status, problem["code"]

            turns = [await send() for _turn in range(50)]
            assert {each.status for each in turns} == {200}
            assert await refused(await send()) == (429, "rate_limited")

            first = await anext(events(turns[0]))
            url = f"{server.url}{API}messages/{first['message_id']}/stream"
            readers = [await session.get(url) for _reader in range(50)]
            assert {each.status for each in readers} == {200}
            assert await refused(await session.get(url)) == (429, "rate_limited")
            for each in turns + readers:
                each.close()

        assert len(upstream.chats) == 50
