"""Tokens and passwords tried by twenty at once, at every process: as few succeed as may."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import redis

from tests.e2e.conftest import PAIRED, REDIS, serving
from tests.e2e.person import API, PASSWORD, Person, register
from tests.server import Server

WRONG = "wrong horse 9!"


@pytest.fixture(scope="module")
def servers(tmp_path_factory, upstream) -> Iterator[list[Server]]:
    """With the limits as they are."""
    with serving(tmp_path_factory.mktemp("strict"), upstream, LIMIT_FACTOR="1") as started:
        yield started


async def at_once(
    servers: list[Server], path: str, body: dict[str, str], *, number: int, address: str
) -> list[tuple[int, Any]]:
    """The answers to the same request, sent that often from this address."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(index: int) -> tuple[int, Any]:
            url = servers[index % 2].url + API + path
            async with session.post(url, json=body) as answer:
                return answer.status, await answer.json()

        return list(await asyncio.gather(*map(ask, range(number))))


def works(person: Person, servers: list[Server]) -> set[int]:
    return {person.call("GET", "users/me", at=server).status for server in servers}


@pytest.mark.row("S1")
async def test_of_twenty_refreshes_one_wins_and_loses_it_again(servers):
    """The others are thieves as far as anybody can tell: the family is dead, in every process."""
    person = register(servers[0])
    body = {"username": person.username, "password": PASSWORD}
    ((_status, pair),) = await at_once(servers, "auth/login", body, number=1, address="127.0.0.1")

    refresh = {"refresh_token": pair["refresh_token"]}
    answers = await at_once(servers, "auth/refresh", refresh, number=20, address="127.0.0.1")

    assert Counter(status for status, _told in answers) == {200: 1, 401: 19}
    (won,) = [told for status, told in answers if status == 200]
    for token in (won["access_token"], pair["access_token"]):
        assert works(Person(servers[0], token, person.username), servers) == {401}
    last = {"refresh_token": won["refresh_token"]}
    ((status, told),) = await at_once(servers, "auth/refresh", last, number=1, address="127.0.0.1")
    assert (status, told["code"]) == (401, "token_invalid")
    assert works(person, servers) == {200}  # another device


@pytest.mark.row("S8")
async def test_of_twenty_wrong_passwords_five_are_looked_at(servers):
    """The owner gets in from elsewhere; what Redis forgets is still known."""
    person = register(servers[0])
    guess = {"username": person.username, "password": WRONG}
    right = {"username": person.username, "password": PASSWORD}

    answers = await at_once(servers, "auth/login", guess, number=20, address="127.0.0.2")

    codes = Counter((status, told["code"]) for status, told in answers)
    assert codes == {(401, "invalid_credentials"): 5, (429, "locked_out"): 15}
    if PAIRED:
        redis.Redis.from_url(REDIS).flushdb()
    ((status, told),) = await at_once(servers, "auth/login", right, number=1, address="127.0.0.2")
    assert (status, told["code"]) == (429, "locked_out")
    ((status, _told),) = await at_once(servers, "auth/login", right, number=1, address="127.0.0.3")
    assert status == 200
