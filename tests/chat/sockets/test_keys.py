"""API keys on sockets and streams: which may come in, and what ends with them (K2, K3, S4)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import ApiKey
from accounts.services import api_keys, people
from chat.models import Message
from common.db import in_thread
from common.lookout import look_once
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Closed, Request, Socket
from tests.chat.conftest import Gate

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made(alice):
    return api_keys.create(alice.user, name="A program", actor=alice.user)


def only(alice, *scopes, **fields):
    return api_keys.create(alice.user, name="x", scopes=scopes, actor=alice.user, **fields).text


async def refused(text):
    """Does the door stay shut, as for any bad token?"""
    socket = Socket(token=text)
    await socket.open()
    told = await socket.receive()
    assert (told["type"], told["code"]) == ("error", "token_invalid")
    assert text not in str(told)
    with pytest.raises(Closed, match="4401"):
        await socket.receive()
    return True


async def test_a_key_that_may_chat_has_its_turns_answered(serving, made, conversation, script):
    script(TextDelta("Hel"), TextDelta("lo"), Finished("stop"))

    async with Socket(token=made.text) as socket:
        frame = {"type": "chat", "conversation_id": str(conversation.id), "content": "Hi"}
        started = await socket.ask(frame | {"ref": "r"})
        while (told := await socket.receive())["type"] != "chat_complete":
            pass

    assert (started["type"], started["ref"]) == ("chat_start", "r")
    assert told["message"]["content"] == "Hello"


@pytest.mark.row("K3")
async def test_a_key_without_the_scope_is_refused_as_a_bad_token_is(serving, alice, made):
    """W3."""
    for scopes in (["read"], ["support"], ["read", "support"], []):
        assert await refused(await in_thread(only)(alice, *scopes))
    assert await refused(made.text[:-1] + ("0" if made.text[-1] != "0" else "1"))
    elsewhere = await in_thread(only)(alice, "chat", addresses=["198.51.100.0/24"])
    assert await refused(elsewhere)


@pytest.mark.row("K2")
async def test_a_revoked_key_closes_its_sockets_and_no_others(serving, alice, made, token):
    """By the nudge alone; no look at the database comes to its help."""
    other = await in_thread(only)(alice, "chat")

    async with (
        Socket(token=made.text) as mine,
        Socket(token=other) as key,
        Socket(token=token) as me,
    ):
        await in_thread(api_keys.revoke)(made.row, actor=alice.user)

        assert await mine.close_code() == 4401
        await key.quiet()
        await me.quiet()
    assert await refused(made.text)


@pytest.mark.row("W11", "K2")
async def test_a_nudge_that_is_lost_is_made_good_by_the_next_look(serving, made):
    async with Socket(token=made.text) as socket:
        await ApiKey.objects.aupdate(revoked_at=timezone.now())
        await socket.quiet()
        await look_once()

        assert await socket.close_code() == 4401


@pytest.mark.row("K2", "S4")
@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": LONG_AGO},
        {"scopes": ["read"]},
        {"revoked_at": LONG_AGO},
    ],
    ids=str,
)
async def test_what_ends_a_key_ends_its_sockets(serving, made, change):
    async with Socket(token=made.text) as socket:
        await socket.quiet()
        await ApiKey.objects.aupdate(**change)
        await look_once()

        assert await socket.close_code() == 4401


@pytest.mark.row("K2")
async def test_a_key_that_runs_out_on_an_open_socket_closes_it(serving, alice):
    """W4: at the first look after its time."""
    soon = timezone.now() + timedelta(seconds=1)
    text = await in_thread(only)(alice, "chat", expires_at=soon)

    async with Socket(token=text) as socket:
        await socket.quiet()
        while timezone.now() <= soon:
            await asyncio.sleep(0.05)
        told = await socket.ask({"type": "typing", "conversation_id": str(alice.user.pk)})
        await look_once()

        assert told["code"] == "token_invalid"
        assert await socket.close_code() == 4401


@pytest.mark.row("S4", "S19")
async def test_suspending_the_owner_closes_the_sockets_of_keys_and_devices_at_once(
    serving, alice, made, token
):
    async with Socket(token=made.text) as key, Socket(token=token) as device:
        await in_thread(people.suspend)(alice.user, actor=None)

        assert await key.close_code() == 4401
        assert await device.close_code() == 4401


@pytest.mark.row("S4", "K2")
async def test_streams_begun_with_a_key_end_with_it_and_the_turn_goes_on(
    serving, alice, made, conversation, script
):
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))
    path = f"conversations/{conversation.id}/messages/stream"
    stream = Request("POST", path, token=made.text, body={"content": "Hi"})
    await stream.chunk()

    await in_thread(api_keys.revoke)(made.row, actor=alice.user)
    await look_once()

    assert b"chat_complete" not in await stream.read()
    await stream.ended()
    gate.open()
    while await Message.objects.filter(status="streaming").aexists():
        await asyncio.sleep(0.01)
    assert (await Message.objects.aget(role="assistant")).content == "ab"


async def test_a_new_token_does_not_make_a_key_of_the_socket(serving, made, token):
    """A key is no access token: `authenticate` takes what the frame names."""
    async with Socket(token=token) as socket:
        frame = {"type": "authenticate", "access_token": made.text, "ref": "a"}
        told = await socket.ask(frame)

        assert (told["type"], told["code"]) == ("error", "token_invalid")
        await socket.quiet()
