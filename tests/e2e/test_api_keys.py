"""API keys on real servers: revoked in one process, refused in the other; nowhere to be read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.person import SECONDS, Person
from tests.e2e.test_secrets_stay_in import dump
from tests.events import text_of
from tests.models_registry.upstream import answer
from tests.server import Server


@pytest.fixture
def make(person):
    """`make(scopes=["read"])`: a key of the person, as one who calls with it, and its row."""

    def key(**fields) -> tuple[Person, dict]:
        made = person.call("POST", "api-keys", {"name": "A program"} | fields)
        assert made.status == 201, made.body
        row = made.json()
        return replace(person, token=row.pop("key")), row

    return key


async def closes(socket):
    """The code that the server closes it with."""
    async with asyncio.timeout(SECONDS):
        await socket.connection.wait_closed()
    return socket.connection.close_code


async def test_a_program_chats_with_its_key(make, upstream):
    program, _row = make()
    upstream.script(answer("Hel", "lo"))

    path = f"conversations/{program.conversation(model='mock')}/messages/stream"

    assert text_of(await program.read(path, {"content": "Hi"})) == "Hello"


@pytest.mark.row("K2")
async def test_revoked_in_one_process_it_is_refused_by_the_other(servers, person, make):
    """At once, and its open sockets close there too; others stay."""
    here, there = servers
    program, row = make()
    assert program.call("GET", "conversations", at=there).status == 200

    async with program.socket(at=there) as mine, person.socket(at=there) as other:
        await mine.send(type="ping")
        assert (await mine.get())["type"] == "pong"
        assert person.call("DELETE", f"api-keys/{row['id']}", at=here).status == 204

        refused = program.call("GET", "conversations", at=there)
        assert (refused.status, refused.json()["code"]) == (401, "token_invalid")
        assert await closes(mine) == 4401
        await other.send(type="ping")
        assert (await other.get())["type"] == "pong"

    async with program.socket(at=there) as late:
        assert (await late.get())["code"] == "token_invalid"
        assert await closes(late) == 4401


@pytest.mark.row("K2")
async def test_revoked_by_a_command_its_sockets_close_at_the_next_look(servers, make):
    """W11: a command has no loop to say so from."""
    here, there = servers
    program, row = make()

    async with program.socket(at=there) as socket:
        await socket.send(type="ping")
        assert (await socket.get())["type"] == "pong"
        revoked = await asyncio.to_thread(here.command, "api_key", "revoke", row["id"])
        assert revoked.returncode == 0, revoked.stderr

        assert await closes(socket) == 4401


@pytest.mark.row("K1", "K4")
async def test_no_key_is_echoed_logged_or_kept(servers, person, make):
    """A good, a revoked, an expired and a misspelt one, at every door."""
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    good, row = make()
    expired, _row = make(expires_at=soon)
    narrow, _row = make(scopes=["support"])
    elsewhere, _row = make(addresses=["198.51.100.0/24"])
    misspelt = replace(good, token=good.token[:-1] + ("0" if good.token[-1] != "0" else "1"))
    revoked, gone = make()
    assert good.call("GET", "conversations").status == 200
    assert good.call("DELETE", f"api-keys/{gone['id']}").status == 403
    assert person.call("DELETE", f"api-keys/{gone['id']}").status == 204
    while expired.call("GET", "conversations").status == 200:
        await asyncio.to_thread(time.sleep, 0.2)
    callers = [good, expired, narrow, elsewhere, misspelt, revoked]

    told = b"".join([server.request("/metrics").body for server in servers])
    for each in callers:
        for server in servers:
            told += await _told(each, server, is_good=each is good)

    stored = dump(servers[0])
    logged = "".join(server.log for server in servers).encode()
    assert row["prefix"].encode() in stored
    for each in callers:
        for place in (told, stored, logged):
            assert each.token[12:].encode() not in place


async def _told(caller: Person, server: Server, *, is_good: bool) -> bytes:
    """All that a caller with this key hears, at every door."""
    told = b""
    for method, path in [
        ("GET", "conversations"),
        ("GET", "api-keys"),
        ("POST", "chat"),
        ("GET", f"conversations?limit={caller.token}"),
        ("GET", f"conversations/{caller.token}"),
    ]:
        sent = caller.call(method, path, {} if method == "POST" else None, at=server)
        told += sent.body + str(sent.headers).encode()
    plain = server.request("/api/v1/conversations", headers={"X-API-Key": caller.token})
    assert plain.status == 401
    async with caller.socket(at=server) as socket:
        if is_good:  # the others are told why not, unasked
            await socket.send(type="ping")
        told += str(await socket.get()).encode()
    return told + plain.body
