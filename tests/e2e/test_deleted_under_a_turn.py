"""A conversation, a person and a connection are deleted amid an answer: nothing of it is left."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.e2e.person import PASSWORD, register
from tests.events import text_of
from tests.models_registry.upstream import HANG, Reply, delta, sse

TWENTY = [f"{number:02} " for number in range(20)]
LAST = TWENTY[-1]


async def until_token_twenty(stream):
    events = []
    async for event in stream:
        events.append(event)
        if LAST in text_of(events):
            return
    raise AssertionError(events)


@pytest.mark.row("A8")
@pytest.mark.parametrize("gone", ["conversation", "person", "connection"])
async def test_it_ends_and_the_books_agree(servers_at, upstream, gone):
    upstream.script(Reply((*(sse(delta(token)) for token in TWENTY), HANG)))
    with servers_at(ALLOW_PRIVATE_UPSTREAMS="true") as (here, there):
        person = register(here)
        connection = {"provider": "openai_compatible", "name": "Mine", "base_url": upstream.url}
        made = person.call("POST", "connections", connection | {"api_key": "sk-mine-0123456789"})
        assert made.status == 201, made.body
        named = {"scope": "personal", "name": "mine", "upstream_name": "mock"}
        model = person.call("POST", "models", named | {"connection": made.json()["id"]})
        assert model.status == 201, model.body
        conversation = person.conversation(model="mine")
        deletions = {
            "conversation": (f"conversations/{conversation}", None),
            "person": ("users/me", {"password": PASSWORD}),
            "connection": (f"connections/{made.json()['id']}", None),
        }
        path = f"conversations/{conversation}/messages/stream"

        async with person.stream(path, {"content": "Hi"}) as stream:
            await until_token_twenty(stream)
            deleted = await asyncio.to_thread(person.call, "DELETE", *deletions[gone], at=there)
            assert deleted.status == 204, deleted.body
            end = [event async for event in stream][-1:]

        assert await upstream.chats[-1].was_left()
        told = here.command("audit_books", "--wait", "--format", "json", timeout=120)
        assert told.returncode == 0, told.stdout + told.stderr
        after = {
            "conversation": [("chat_error", "not_found")],
            "person": [],  # the stream ends with the sign-in, if not with the message
            "connection": [("chat_complete", None)],  # stopped, with what was said
        }[gone]
        assert [(event["type"], event.get("code")) for event in end] in (
            after,
            [("chat_error", "not_found")],
        )
        listed = person.call("GET", "conversations")
        assert listed.status == (401 if gone == "person" else 200)
        if gone == "connection":
            (_question, answer) = person.call(
                "GET", f"conversations/{conversation}/messages"
            ).json()["results"]
            assert (answer["status"], answer["content"]) == ("stopped", "".join(TWENTY))
        for server in (here, there):
            assert "Traceback" not in server.log
            assert not re.search(r"\berror\b", server.log), server.log
