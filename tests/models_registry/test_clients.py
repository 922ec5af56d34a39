"""One client per connection: made once, replaced when it changed, closed when nobody needs it."""

from dataclasses import replace
from uuid import uuid4

import pytest

from models_registry.providers import clients as module
from models_registry.providers.clients import ClientPool, close_clients, pool


@pytest.fixture
async def own_pool():
    made = ClientPool()
    yield made
    await made.close()


async def test_a_client_is_made_once(own_pool, endpoint):
    async with own_pool.use(endpoint) as first:
        pass
    async with own_pool.use(endpoint) as second:
        assert second is first
        assert not second.client.is_closed()


async def test_a_changed_connection_gets_another_and_streams_end_on_the_old_one(own_pool, endpoint):
    changed = replace(endpoint, api_key="another")

    async with own_pool.use(endpoint) as old:
        async with own_pool.use(changed) as new:
            assert new is not old
            assert not old.client.is_closed()
        assert not old.client.is_closed()

    assert old.client.is_closed()
    assert not new.client.is_closed()


async def test_an_unused_old_client_is_closed_at_once(own_pool, endpoint):
    async with own_pool.use(endpoint) as old:
        pass
    async with own_pool.use(replace(endpoint, api_key="another")):
        assert old.client.is_closed()


async def test_only_so_many_unused_ones_are_kept(own_pool, endpoint, monkeypatch):
    monkeypatch.setattr(module, "_MOST_IDLE", 2)
    entries = []
    for _ in range(4):
        async with own_pool.use(replace(endpoint, connection_id=uuid4())) as entry:
            entries.append(entry)

    assert [entry.client.is_closed() for entry in entries] == [True, True, False, False]


async def test_closing_closes_all(endpoint):
    async with pool().use(endpoint) as entry:
        pass

    await close_clients()

    assert entry.client.is_closed()
    await close_clients()  # nothing is left: no harm
