"""Who gets a socket, and how the others are told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Session
from accounts.services.sign_ins import open_for
from chat.consumers import ChatConsumer
from common.sockets import sockets
from tests.asgi import Closed, Socket
from tests.chat.serving import token_of

pytestmark = pytest.mark.django_db(transaction=True)


async def refused(socket: Socket) -> int:
    with pytest.raises(Closed) as closed:
        await socket.open()
    await socket.ended()
    return closed.value.code


async def test_a_token_in_the_subprotocol_opens_a_socket_that_answers_parley_v1(serving, token):
    socket = Socket(token=token)

    assert await socket.open() == "parley.v1"
    await socket.quiet()
    await socket.leave()


@pytest.mark.row("W2", "W3")
@pytest.mark.parametrize(
    ("path", "bearer"),
    [("/ws/chat", ""), ("/ws/chat", "nonsense"), ("/ws/chat?token={token}", "")],
)
async def test_a_refused_login_is_accepted_told_once_and_closed(serving, token, path, bearer):
    """W2, W3: also with the token in the address. No frame of it is handled."""
    socket = Socket(path.format(token=token), token=bearer)
    socket.send({"type": "ping"})

    await socket.open()
    told = await socket.receive()

    assert told["type"] == "error"
    assert told["code"] == ("token_invalid" if bearer else "unauthenticated")
    assert await socket.close_code() == 4401
    await socket.ended()


@pytest.fixture
def log(caplog):
    """What the request log says of sockets; its whole text must name no secret."""
    caplog.set_level("INFO", logger="parley.request")

    def lines(*secrets):
        assert not any(secret in caplog.text for secret in secrets)
        told = [record.msg for record in caplog.records if record.name == "parley.request"]
        return [line for line in told if line["event"].startswith("socket_")]

    return lines


@pytest.mark.row("G1", "G2")
async def test_a_socket_has_one_line_as_it_opens_and_one_as_it_ends(serving, alice, token, log):
    """Neither its token nor what was said."""
    socket = Socket("/ws/chat?x=canary", token=token, headers={"X-Request-ID": "door-0001"})
    await socket.open()
    await socket.quiet()
    socket.send({"type": "canary", "ref": "canary"})
    await socket.receive()
    (opened,) = log()

    await socket.leave()

    _, closed = log(token, "canary", "bearer")
    same = {"path": "/ws/chat", "request_id": "door-0001", "user_id": str(alice.user.pk)}
    assert same.items() <= opened.items()
    assert (opened["event"], opened["status"]) == ("socket_opened", 101)
    assert opened["address"] == "203.0.113.7"
    assert same.items() <= closed.items()
    assert (closed["event"], closed["code"]) == ("socket_closed", 1001)
    assert 0 <= closed["seconds"] < 60


async def test_the_line_of_the_end_has_the_code_that_we_close_with(serving, alice, token, log):
    async with Socket(token=token) as socket:
        for mine in sockets.of(alice.user.pk):
            mine.finish(4409)
        assert await socket.close_code() == 4409

    assert [line.get("code") for line in log()] == [None, 4409]


async def test_who_is_only_told_why_not_has_two_lines_of_nobody(serving, log):
    socket = Socket(token="nonsense")
    await socket.open()
    assert await socket.close_code() == 4401
    await socket.ended()

    assert [(line["user_id"], line.get("code")) for line in log("nonsense")] == [
        (None, None),
        (None, 4401),
    ]


async def test_a_handshake_that_is_refused_has_no_line_of_a_socket(serving, token, log):
    assert await refused(Socket(token=token, subprotocols=["other"])) == 4403

    assert log() == []


@pytest.mark.row("W3", "W8")
async def test_two_hundred_refused_sockets_leave_nothing_behind(serving):
    """W3, W8: the ones over the cap for strangers are refused before acceptance."""
    many = [Socket(token="nonsense") for _ in range(200)]

    for socket in many:
        await socket.ended()

    assert sockets.total == 0
    assert not list(sockets)


@pytest.mark.row("W1")
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://testserver:81"])
async def test_a_foreign_origin_is_refused_before_acceptance(serving, token, origin):
    """W1: even with a good token."""
    assert await refused(Socket(token=token, headers={"Origin": origin})) == 4403


async def test_the_sites_own_origin_may_come_with_a_token(serving, token):
    async with Socket(token=token, headers={"Origin": "http://testserver"}) as socket:
        await socket.quiet()


@pytest.mark.row("W1")
async def test_a_listed_origin_may_come_with_a_token_and_not_with_a_cookie(
    serving, token, settings
):
    settings.CORS_ORIGINS = ["https://app.example"]

    async with Socket(token=token, headers={"Origin": "https://app.example"}) as socket:
        await socket.quiet()
    with_cookie = {"Origin": "https://app.example", "Cookie": "session=x"}
    assert await refused(Socket(headers=with_cookie)) == 4403


@pytest.mark.row("W1")
async def test_a_cookie_needs_the_sites_own_origin(serving, alice, django_user_model):
    cookie = await asyncio.to_thread(cookie_of, alice.user)
    own = {"Cookie": f"session={cookie}", "Origin": "http://testserver"}

    async with Socket(headers=own) as socket:
        await socket.quiet()
    assert await refused(Socket(headers=own | {"Origin": "http://evil.example"})) == 4403
    assert await refused(Socket(headers={"Cookie": f"session={cookie}"})) == 4403


def cookie_of(user) -> str:
    session = Session.objects.create(
        session_key="k" * 32,
        session_data="",
        expire_date=timezone.now() + timedelta(hours=1),
        sign_in=open_for(user),
    )
    return session.session_key


@pytest.mark.row("W13")
async def test_an_unknown_path_and_a_missing_subprotocol_are_refused_quietly(
    serving, token, caplog
):
    assert await refused(Socket("/ws/nowhere", token=token)) == 4404
    assert await refused(Socket(subprotocols=[f"bearer.{token}"])) == 4403
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.row("W1", "W13")
async def test_a_server_that_knows_how_answers_a_handshake_with_a_problem(serving, token):
    """W1, W13: uvicorn does."""
    socket = Socket(
        token=token,
        headers={"Origin": "http://evil.example"},
        extensions={"websocket.http.response": {}},
    )

    assert await refused(socket) == 403


@pytest.mark.row("W8")
async def test_the_oldest_socket_of_a_person_makes_room_for_a_new_one(serving, token, settings):
    settings.SOCKETS_PER_USER = 3
    four = []
    for _ in range(4):
        four.append(Socket(token=token))
        await four[-1].open()

    assert await four[0].close_code() == 4409
    for socket in four[1:]:
        await socket.quiet()
        await socket.leave()


async def test_another_person_is_not_counted_with_them(serving, token, charlie, settings):
    settings.SOCKETS_PER_USER = 1
    other = await asyncio.to_thread(token_of, charlie.user)

    async with Socket(token=token) as first, Socket(token=other) as second:
        await first.quiet()
        await second.quiet()


@pytest.mark.row("W8")
async def test_a_full_process_refuses_before_acceptance(serving, token, settings):
    settings.SOCKETS_PER_PROCESS = 1

    async with Socket(token=token):
        socket = Socket(token=token, extensions={"websocket.http.response": {}})
        assert await refused(socket) == 503


@pytest.mark.row("F2")
async def test_a_draining_process_opens_no_sockets(serving, token, monkeypatch):
    """F2."""
    monkeypatch.setattr("common.lifecycle.draining", True)

    socket = Socket(token=token, extensions={"websocket.http.response": {}})

    assert await refused(socket) == 503


async def test_a_socket_that_left_is_forgotten(serving, token, alice):
    async with Socket(token=token):
        assert len(sockets.of(alice.user.pk)) == 1
        assert isinstance(sockets.of(alice.user.pk)[0], ChatConsumer)

    assert sockets.of(alice.user.pk) == []
    assert sockets.total == 0
