"""A turn that runs is its owner's alone, on every road to it, and no stranger disturbs it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from chat.models import Conversation, Message
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request, Socket, parse_events
from tests.chat.conftest import Gate
from tests.chat.serving import serving, stranger, token
from tests.events import text_of

__all__ = ["serving", "stranger", "token"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.row("A6")]


@pytest.fixture
def gate(script):
    """The model stands between two words."""
    gate = Gate()
    script(TextDelta("My "), gate, TextDelta("words."), Finished("stop"))
    return gate


async def started(token, conversation):
    """The owner's stream, read up to its start, and the id of the answer."""
    path = f"conversations/{conversation.id}/messages/stream"
    stream = Request("POST", path, token=token, body={"content": "Hi"})
    begun = (await stream.chunk()).decode()
    return stream, begun, parse_events(begun)[0]["message_id"]


async def test_over_rest_and_streams(serving, token, stranger, conversation, gate):
    stream, begun, answer = await started(token, conversation)
    question = str((await Message.objects.aget(role="user")).id)
    roads = [
        ("GET", f"messages/{answer}", None),
        ("GET", f"messages/{answer}/stream", None),
        ("GET", f"messages/{answer}/stream?after=0", None),
        ("POST", f"messages/{answer}/stop", None),
        ("POST", f"messages/{answer}/regenerate", {}),
        ("POST", f"messages/{answer}/feedback", {"rating": "up"}),
        ("DELETE", f"messages/{answer}/feedback", None),
        ("PATCH", f"messages/{question}", {"content": "Other words"}),
        ("DELETE", f"messages/{answer}", None),
        ("DELETE", f"messages/{question}", None),
        ("GET", f"conversations/{conversation.id}", None),
        ("GET", f"conversations/{conversation.id}/messages", None),
        ("GET", f"conversations/{conversation.id}/export?format=json", None),
        ("POST", f"conversations/{conversation.id}/share", None),
        ("POST", f"conversations/{conversation.id}/messages", {"content": "Mine"}),
        ("POST", f"conversations/{conversation.id}/messages/stream", {"content": "Mine"}),
        ("DELETE", f"conversations/{conversation.id}", None),
    ]
    for method, path, body in roads:
        refused = Request(method, path, token=stranger, body=body)
        told = await refused.json()
        never_was = path.replace(answer, str(uuid4())).replace(question, str(uuid4()))
        never_was = never_was.replace(str(conversation.id), str(uuid4()))
        same = Request(method, never_was, token=stranger, body=body)

        assert (refused.status, told["code"]) == (404, "not_found"), (method, path)
        assert await same.json() | {"request_id": ""} == told | {"request_id": ""}, (method, path)

    gate.open()
    events = parse_events(begun + (await stream.read()).decode())
    assert (events[-1]["type"], text_of(events)) == ("chat_complete", "My words.")
    assert await Message.objects.acount() == 2


async def test_over_a_socket(serving, token, stranger, charlie, conversation, gate):
    own = str((await Conversation.objects.acreate(owner=charlie.user, model="echo")).id)
    stream, begun, answer = await started(token, conversation)

    async with Socket(token=stranger) as theirs:
        for frame in (
            {"type": "resume", "message_id": answer, "after": -1},
            {"type": "resume", "message_id": answer, "after": 0},
            {"type": "stop", "message_id": answer},
            {"type": "typing", "conversation_id": str(conversation.id)},
            {"type": "chat", "conversation_id": str(conversation.id), "content": "Mine"},
            {"type": "chat", "conversation_id": own, "content": "Mine", "parent_id": answer},
        ):
            told = await theirs.ask(frame | {"ref": "r"})
            assert (told["type"], told["code"]) == ("error", "not_found"), frame
        # No frame names a group: what looks like one is no frame.
        told = await theirs.ask({"type": "subscribe", "group": "user"})
        assert (told["type"], told["code"]) == ("error", "invalid")
        gate.open()
        events = parse_events(begun + (await stream.read()).decode())
        await theirs.quiet()

    assert (events[-1]["type"], text_of(events)) == ("chat_complete", "My words.")
    assert await Message.objects.acount() == 2
