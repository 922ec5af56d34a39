"""What becomes of an open socket when its sign-in or its token ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import MailLink, User
from accounts.services import people, profile, recovery, sign_ins
from accounts.services.tokens import issue
from chat.consumers import ChatConsumer
from chat.models import Message
from common.db import in_thread
from common.digests import digest
from common.lookout import look_once
from common.sockets import sockets
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request, Socket
from tests.chat.conftest import Gate
from tests.chat.serving import token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.row("S4")
async def test_suspension_closes_the_sockets_and_ends_the_streams_of_a_person(
    serving, alice, stranger, token, conversation, script
):
    """The running turn finishes and is stored; others notice nothing."""
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))

    async with Socket(token=token) as socket, Socket(token=stranger) as other:
        path = f"conversations/{conversation.id}/messages/stream"
        stream = Request("POST", path, token=token, body={"content": "Hi"})
        await stream.chunk()
        await User.objects.filter(pk=alice.user.pk).aupdate(is_active=False)
        await look_once()

        assert await socket.close_code() == 4401
        assert b"chat_complete" not in await stream.read()
        await stream.ended()
        await other.quiet()

    gate.open()
    while await Message.objects.filter(status="streaming").aexists():
        await asyncio.sleep(0.01)
    assert (await Message.objects.aget(role="assistant")).content == "ab"


def change_password(user: User) -> None:
    profile.store_password(user, "another fine password", actor=user)


def reset_password(user: User) -> None:
    token = "a token of a letter"
    MailLink.objects.create(
        user=user,
        purpose=MailLink.Purpose.RESET,
        digest=digest(token),
        address=user.email,
        expires_at=timezone.now() + timedelta(hours=1),
    )
    recovery.reset_password(uid=str(user.pk), token=token, password="another fine password")


@pytest.mark.row("S4")
@pytest.mark.parametrize(
    "event",
    [
        change_password,
        reset_password,
        partial(people.suspend, actor=None),
        lambda user: sign_ins.revoke(user.pk),
        lambda user: user.delete(),
    ],
    ids=["change", "reset", "suspend", "everywhere", "delete"],
)
async def test_whatever_ends_a_sign_in_ends_its_sockets_and_streams(
    serving, alice, stranger, token, conversation, script, event
):
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))
    path = f"conversations/{conversation.id}/messages/stream"

    async with Socket(token=token) as socket, Socket(token=stranger) as other:
        stream = Request("POST", path, token=token, body={"content": "Hi"})
        await stream.chunk()
        await in_thread(event)(await User.objects.aget(pk=alice.user.pk))
        await look_once()

        assert await socket.close_code() == 4401
        assert b"chat_complete" not in await stream.read()
        await stream.ended()
        await other.quiet()
    gate.open()


@pytest.mark.row("S4")
async def test_revoking_one_sign_in_leaves_the_others(serving, alice):
    lost = await in_thread(sign_ins.open_for)(alice.user)
    kept = await in_thread(token_of)(alice.user)
    pair = await in_thread(issue)(lost)

    async with Socket(token=pair.access_token) as first, Socket(token=kept) as second:
        await in_thread(sign_ins.revoke)(alice.user.pk, only=lost.pk)
        await look_once()

        assert await first.close_code() == 4401
        await second.quiet()


def expire() -> None:
    """Let the tokens of all open sockets run out now."""
    for socket in sockets:
        assert isinstance(socket, ChatConsumer)
        caller = socket.identity.caller
        aged = type(caller)(
            caller.user,
            caller.sign_in,
            expires_at=caller.expires_at and caller.expires_at - timedelta(days=1),
        )
        socket.identity = type(socket.identity)(aged)


@pytest.mark.row("W4")
async def test_a_token_that_ran_out_closes_the_socket(serving, token):
    async with Socket(token=token) as socket:
        await socket.quiet()
        expire()

        told = await socket.ask({"type": "stop", "message_id": str(uuid4())})
        await look_once()

        assert told["code"] == "token_invalid"
        assert await socket.close_code() == 4401


@pytest.mark.row("W4")
async def test_a_new_token_of_the_same_person_keeps_it_open(serving, alice, token):
    fresh = await in_thread(token_of)(alice.user)

    async with Socket(token=token) as socket:
        await socket.quiet()
        expire()
        told = await socket.ask({"type": "authenticate", "access_token": fresh, "ref": "a"})
        await look_once()
        await socket.quiet()

    assert told == {"type": "authenticated", "ref": "a"}


@pytest.mark.row("W4")
async def test_another_persons_token_closes_it(serving, token, stranger):
    async with Socket(token=token) as socket:
        socket.send({"type": "authenticate", "access_token": stranger})

        assert await socket.close_code() == 4401


async def test_a_token_that_is_none_is_told_and_changes_nothing(serving, token):
    async with Socket(token=token) as socket:
        told = await socket.ask({"type": "authenticate", "access_token": "x", "ref": "a"})

        assert (told["code"], told["ref"]) == ("token_invalid", "a")
        await socket.quiet()
