"""One client per connection: made once, replaced when it changed, closed when nobody needs it."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from models_registry.providers import clients as module
from models_registry.providers.clients import ClientPool, close_clients, pool
from models_registry.providers.openai_client import open_client


@pytest.fixture
async def own_pool():
    made = ClientPool()
    yield made
    await made.close()


async def test_a_client_is_made_once(own_pool, endpoint):
    async with own_pool.use(endpoint, open_client) as first:
        pass
    async with own_pool.use(endpoint, open_client) as second:
        assert second is first
        assert not second.client.is_closed()


async def test_a_changed_connection_gets_another_and_streams_end_on_the_old_one(own_pool, endpoint):
    changed = replace(endpoint, api_key="another")

    async with own_pool.use(endpoint, open_client) as old:
        async with own_pool.use(changed, open_client) as new:
            assert new is not old
            assert not old.client.is_closed()
        assert not old.client.is_closed()

    assert old.client.is_closed()
    assert not new.client.is_closed()


async def test_two_turns_after_a_change_share_one_client(own_pool, endpoint, monkeypatch):
    """The loser of two would never be closed."""
    changed = replace(endpoint, api_key="another")
    made = []

    def open_one(given):
        made.append(open_client(given))
        return made[-1]

    async with own_pool.use(endpoint, open_one) as old:
        pass
    closing, close = asyncio.Event(), old.client.close

    async def close_slowly():
        await closing.wait()
        await close()

    monkeypatch.setattr(old.client, "close", close_slowly)

    async def turn():
        async with own_pool.use(changed, open_one) as entry:
            return entry

    turns = [asyncio.create_task(turn()) for _ in range(2)]
    await asyncio.sleep(0)
    closing.set()
    first, second = await asyncio.gather(*turns)

    assert first is second
    assert made == [old.client, first.client]
    assert old.client.is_closed()


async def test_an_unused_old_client_is_closed_at_once(own_pool, endpoint):
    async with own_pool.use(endpoint, open_client) as old:
        pass
    async with own_pool.use(replace(endpoint, api_key="another"), open_client):
        assert old.client.is_closed()


async def test_only_so_many_unused_ones_are_kept(own_pool, endpoint, monkeypatch):
    monkeypatch.setattr(module, "_MOST_IDLE", 2)
    entries = []
    for _ in range(4):
        async with own_pool.use(replace(endpoint, connection_id=uuid4()), open_client) as entry:
            entries.append(entry)

    assert [entry.client.is_closed() for entry in entries] == [True, True, False, False]


async def test_closing_closes_all(endpoint):
    async with pool().use(endpoint, open_client) as entry:
        pass

    await close_clients()

    assert entry.client.is_closed()
    await close_clients()  # nothing is left: no harm
