"""Forty open streams and a database pool of two: nobody waits for a connection."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.e2e.person import register
from tests.models_registry.upstream import HANG, Reply, delta, sse


@pytest.mark.row("F6")
async def test_a_list_still_answers_while_forty_streams_are_open(servers_at, upstream):
    """F6: an open stream holds no connection; an empty pool would answer 503 after 5 s."""
    upstream.script(Reply((sse(delta("Open")), HANG)))
    with servers_at(DATABASE_POOL_SIZE="2", SHUTDOWN_TURN_SECONDS="0") as (server, _other):
        person = register(server)
        conversations = [person.conversation() for _number in range(40)]
        async with AsyncExitStack() as stack:
            for conversation in conversations:
                stream = await stack.enter_async_context(
                    person.stream(f"conversations/{conversation}/messages/stream", {"content": "x"})
                )
                assert (await anext(stream))["type"] == "chat_start"
                assert (await anext(stream))["type"] == "chat_chunk"

            lists = await asyncio.gather(
                *(asyncio.to_thread(person.call, "GET", "conversations?limit=100") for _ in "12345")
            )

        for listed in lists:
            assert listed.status == 200
            assert len(listed.json()["results"]) == 40
