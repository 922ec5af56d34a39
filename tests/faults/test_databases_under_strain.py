"""A database that is gone, small, or locked by one writer at a time (F5, F6, F7)."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.person import API, register, text_of
from tests.faults.provider import numbers, spoken
from tests.models_registry.upstream import answer
from tests.waiting import until

WORDS = numbers(100)


def ask_all(person, conversation):
    """Calls that need the database, sign-in and a send among them."""
    credentials = {"username": person.username, "password": "correct horse 9!"}
    return [
        person.server.request(f"{API}auth/login", method="POST", body=credentials, timeout=100),
        person.server.request(f"{API}conversations", headers=person.headers, timeout=100),
        person.server.request(
            f"{API}conversations/{conversation}/messages",
            method="POST",
            body={"content": "Hi"},
            headers=person.headers,
            timeout=100,
        ),
    ]


async def test_postgresql_stops_and_comes_back_in_mid_answer(alone, upstream, own_postgresql):
    """F5: 503 with `Retry-After` meanwhile; the answer is whole, stored, and nothing restarted."""
    upstream.script(spoken(WORDS, seconds=0.1), answer("Back."))
    with alone(DATABASE_URL=own_postgresql.url) as server:
        person = register(server)
        conversation, other = person.conversation(), person.conversation()
        path = f"conversations/{conversation}/messages/stream"
        async with person.stream(path, {"content": "Count"}) as stream:
            found = [await anext(stream) for _event in range(4)]
            await asyncio.to_thread(own_postgresql.stop)
            refused = asyncio.create_task(asyncio.to_thread(ask_all, person, other))
            while len(found) < 12:
                found.append(await anext(stream))
            answers = await refused
            await asyncio.to_thread(own_postgresql.start)
            found += [event async for event in stream]

        assert {answer.status for answer in answers} == {503}
        assert {answer.json()["code"] for answer in answers} == {"unavailable"}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        assert found[-1]["type"] == "chat_complete"
        assert found[-1]["message"]["content"] == text_of(found) == "".join(WORDS)
        await asyncio.to_thread(
            until,
            lambda: person.call("GET", "conversations").status == 200,
            "the lists are back",
            seconds=50,
        )
        stored = person.call("GET", f"messages/{found[0]['message_id']}").json()
        assert (stored["status"], stored["content"]) == ("complete", "".join(WORDS))
        sent = person.call("POST", f"conversations/{other}/messages", {"content": "Hi"})
        assert sent.json()["message"]["content"] == "Back."


async def test_connections_cut_in_mid_answer_are_made_anew(alone, upstream, own_postgresql):
    """F5: nobody but the calls of that moment notices, and those get 503."""
    upstream.script(spoken(numbers(30), seconds=0.1))
    with alone(DATABASE_URL=own_postgresql.url) as server:
        person = register(server)
        conversation = person.conversation()
        path = f"conversations/{conversation}/messages/stream"
        statuses = set()
        async with person.stream(path, {"content": "Count"}) as stream:
            found = [await anext(stream) for _event in range(3)]
            for _cut in range(3):
                assert await asyncio.to_thread(own_postgresql.cut_connections)
                listed = await asyncio.to_thread(person.call, "GET", "conversations")
                statuses.add(listed.status)
                found.append(await anext(stream))
            found += [event async for event in stream]

        assert statuses <= {200, 503}
        assert found[-1]["message"]["content"] == text_of(found) == "".join(numbers(30))
        assert person.call("GET", "conversations").status == 200


@pytest.mark.parametrize(
    ("database", "turns"), [("sqlite", 50), ("postgresql", 100)], ids=["F7", "F6"]
)
async def test_many_turns_at_once_find_no_lock_and_no_empty_pool(
    alone, upstream, request, database, turns
):
    """F7: SQLite, 0 "locked". F6: a pool of two and 100 turns, requests beside them."""
    variables = {}
    if database == "postgresql":
        url = request.getfixturevalue("own_postgresql").url
        variables = {"DATABASE_URL": url, "DATABASE_POOL_SIZE": "2"}
    upstream.script(spoken(numbers(20), seconds=0.1))
    with alone(**variables) as server:
        person = register(server)
        conversations = [person.conversation() for _turn in range(turns)]

        began = time.monotonic()
        answers, lists = await asyncio.gather(
            asyncio.gather(
                *(
                    person.read(f"conversations/{conversation}/messages/stream", {"content": "x"})
                    for conversation in conversations
                )
            ),
            asyncio.gather(
                *(asyncio.to_thread(person.call, "GET", "conversations") for _list in range(20))
            ),
        )

        assert time.monotonic() - began < 60
        assert {text_of(found) for found in answers} == {"".join(numbers(20))}
        assert {found[-1]["message"]["status"] for found in answers} == {"complete"}
        assert {listed.status for listed in lists} == {200}
        assert "locked" not in server.log
        assert "Traceback" not in server.log
