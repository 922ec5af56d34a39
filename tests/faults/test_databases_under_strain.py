"""A database that is gone, small, or locked by one writer at a time (F5, F6, F7)."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager

import psycopg
import pytest

from tests.e2e.person import API, PASSWORD, register
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import answer
from tests.waiting import until

WORDS = numbers(100)


def ask_all(person, conversation):
    """Calls that need the database, sign-in and a send among them; and how long they took."""
    credentials = {"username": person.username, "password": PASSWORD}
    began = time.monotonic()
    answers = [
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
    return answers, time.monotonic() - began


def is_back(person, server):
    until(
        lambda: person.call("GET", "conversations", at=server).status == 200,
        "the lists are back",
        seconds=50,
    )


@pytest.mark.row("F5")
async def test_postgresql_stops_and_comes_back_in_mid_answer(deployment, upstream):
    """F5: 503 with `Retry-After` within 10 s (here, 100) meanwhile; the answers are whole and
    stored, back in 5 s (here, 50), and nothing is restarted."""
    upstream.script(*[spoken(WORDS, seconds=0.1)] * 4, answer("Back."))
    person = register(deployment.first)
    other = Reader(person, person.conversation())
    readers = [
        Reader(person, person.conversation(), at=deployment.servers[number % 2])
        for number in range(4)
    ]
    tasks = [asyncio.create_task(reader.ask()) for reader in readers]
    await all_began(readers, chunks=4)
    await asyncio.to_thread(deployment.postgresql.stop)
    refused = asyncio.create_task(asyncio.to_thread(ask_all, person, other.conversation))
    for reader in readers:
        await all_began([reader], chunks=len(reader.events) + 4)
    answers, took = await refused
    await asyncio.to_thread(deployment.postgresql.start)
    await asyncio.gather(*tasks)

    assert {answer.status for answer in answers} == {503}
    assert {answer.json()["code"] for answer in answers} == {"unavailable"}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    assert took < 3 * 100
    for server in deployment.servers:
        await asyncio.to_thread(is_back, person, server)
    assert (await other.ask()).text == "Back."
    stored = await agree(deployment.first, [*readers, other])
    assert {each["content"] for each in stored[:-1]} == {"".join(WORDS)}
    assert {each["status"] for each in stored} == {"complete"}


@pytest.mark.row("F5")
async def test_connections_cut_in_mid_answer_are_made_anew(deployment, upstream):
    """F5: nobody but the calls of that moment notices, and those get 503."""
    upstream.script(spoken(numbers(30), seconds=0.1))
    person = register(deployment.first)
    readers = [Reader(person, person.conversation(), at=each) for each in deployment.servers]
    tasks = [asyncio.create_task(reader.ask()) for reader in readers]
    await all_began(readers, chunks=3)
    statuses = set()
    for _cut in range(3):
        assert await asyncio.to_thread(deployment.postgresql.cut_connections)
        for server in deployment.servers:
            listed = await asyncio.to_thread(person.call, "GET", "conversations", at=server)
            statuses.add(listed.status)
    await asyncio.gather(*tasks)

    assert statuses <= {200, 503}
    stored = await agree(deployment.first, readers)
    assert [each["content"] for each in stored] == ["".join(numbers(30))] * 2
    assert person.call("GET", "conversations").status == 200


@contextmanager
def lists_kept_waiting(url):
    with psycopg.connect(url) as locking:
        locking.execute("LOCK TABLE chat_conversation IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.row("F6", "F7")
@pytest.mark.parametrize(
    ("database", "turns"), [("sqlite", 50), ("postgresql", 100)], ids=["F7", "F6"]
)
async def test_many_turns_at_once_find_no_lock_and_no_empty_pool(
    alone, upstream, request, database, turns
):
    """F7: SQLite, 0 "locked". F6: a pool of two and 100 turns, requests beside them; where the
    pool is empty, 503 after 5 s (here, within 50)."""
    variables = {}
    if database == "postgresql":
        url = request.getfixturevalue("own_postgresql").url
        variables = {"DATABASE_URL": url, "DATABASE_POOL_SIZE": "2"}
    upstream.script(spoken(numbers(20), seconds=0.1))
    with alone(**variables) as server:
        person = register(server)
        readers = [Reader(person, person.conversation()) for _turn in range(turns)]

        began = time.monotonic()
        _readers, lists = await asyncio.gather(
            asyncio.gather(*(reader.ask() for reader in readers)),
            asyncio.gather(
                *(asyncio.to_thread(person.call, "GET", "conversations") for _list in range(20))
            ),
        )

        assert time.monotonic() - began < 60
        assert {reader.text for reader in readers} == {"".join(numbers(20))}
        assert {listed.status for listed in lists} == {200}
        stored = await agree(server, readers)
        assert {each["status"] for each in stored} == {"complete"}
        # Until here: a job that is due while the pool is kept empty below may find none.
        assert "Traceback" not in server.log
        if database == "postgresql":
            with lists_kept_waiting(url):
                began = time.monotonic()
                kept = [
                    asyncio.create_task(asyncio.to_thread(person.call, "GET", "conversations"))
                    for _list in range(4)
                ]
                done, _waiting = await asyncio.wait(kept, return_when=asyncio.FIRST_COMPLETED)
                assert {task.result().status for task in done} == {503}
                assert time.monotonic() - began < 50
            await asyncio.gather(*kept)
            assert person.call("GET", "conversations").status == 200
        assert "locked" not in server.log
