"""What many turns and long conversations leave behind (R5, R7, R8)."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest

from tests.e2e.person import API, register
from tests.faults.measuring import MEBIBYTE, Bystander
from tests.models_registry.upstream import answer

MANY = 9_998  # with a question and its answer a branch is as long as it may become

# One question and answer after another, as they are stored.
FILL = """
from chat.models import Conversation, Message
conversation = Conversation.objects.get(id={conversation!r})
rows, parent = [], None
for position in range(1, {count} + 1):
    row = Message(
        conversation=conversation,
        parent_id=parent,
        role="user" if position % 2 else "assistant",
        content="What was said once, at some length. " * 10,
        status="complete",
        position=position,
    )
    rows.append(row)
    parent = row.id
Message.objects.bulk_create(rows, batch_size=500)
Conversation.objects.filter(id=conversation.id).update(last_position={count}, message_count={count})
"""


async def say(person, conversations):
    """A turn in each, at once."""
    await asyncio.gather(
        *(
            person.read(f"conversations/{conversation}/messages/stream", {"content": "Hi"})
            for conversation in conversations
        )
    )


@pytest.mark.row("R7")
async def test_a_hundred_and_fifty_turns_after_fifty_leave_no_memory_behind(alone, upstream):
    """R7: a stream once kept 400 kB; here, 20 MB for all."""
    upstream.script(answer(*["word "] * 50))
    with alone() as server:
        person = register(server)
        conversations = [person.conversation() for _number in range(10)]
        for _round in range(5):
            await say(person, conversations)
        before = server.memory
        for _round in range(15):
            await say(person, conversations)

        assert server.memory - before < 20 * MEBIBYTE


@pytest.mark.row("R5")
async def test_a_long_conversation_is_paged_and_answered_without_keeping_anyone_waiting(
    alone, upstream
):
    """R5: `/health/live` under 200 ms; here, 2 s. R8: memory +<100 MB."""
    upstream.script(answer("Still here."))
    with alone() as server:
        person = register(server)
        conversation = person.conversation()
        filled = server.command("shell", "-c", FILL.format(conversation=conversation, count=MANY))
        assert filled.returncode == 0, filled.stderr
        path = f"conversations/{conversation}/messages"
        person.call("GET", "conversations")
        with Bystander(server) as bystander:
            before = bystander.memory
            page = person.call("GET", f"{path}?limit=100").json()
            pages = 1
            while page["results"] and pages < 10:
                oldest = page["results"][0]["id"]
                page = person.call("GET", f"{path}?limit=100&before={oldest}").json()
                pages += 1
            sent = await asyncio.to_thread(person.call, "POST", path, {"content": "And now?"})

        assert sent.status == 201, sent.body
        assert sent.json()["message"]["content"] == "Still here."
        assert sent.json()["message"]["context"]["messages_left_out"] > 0
        assert bystander.longest < 2
        assert bystander.memory - before < 100 * MEBIBYTE


@pytest.mark.row("R5", "R8")
async def test_a_hundred_thousand_messages_are_listed_and_exported_beside_everybody_else(
    alone, upstream
):
    """R5: `/health/live` under 200 ms; here, 2 s. R8: memory +<100 MB."""
    with alone() as server:
        person = register(server)
        conversations = [person.conversation() for _number in range(11)]
        fill = "".join(FILL.format(conversation=each, count=MANY) for each in conversations)
        filled = server.command("shell", "-c", fill, timeout=300)
        assert filled.returncode == 0, filled.stderr
        person.call("GET", "conversations")
        with Bystander(server) as bystander:
            before = bystander.memory
            sizes = [
                await asyncio.to_thread(_size_of, person, path)
                for path in (f"conversations/{conversations[0]}/export", "users/me/export")
            ]
            listed = person.call("GET", "conversations?limit=100").json()["results"]

        assert sizes[0] > MANY * 300
        assert sizes[1] > 0
        assert {each["message_count"] for each in listed} == {MANY}
        assert bystander.longest < 2
        assert bystander.memory - before < 100 * MEBIBYTE


def _size_of(person, path) -> int:
    """How many bytes came; none of them is kept."""
    asked = urllib.request.Request(person.server.url + API + path, headers=person.headers)  # noqa: S310 our own
    with urllib.request.urlopen(asked, timeout=300) as answered:  # noqa: S310
        return sum(map(len, iter(lambda: answered.read(65_536), b"")))
