"""A request costs the thread hops that Django itself makes, and one for a sync view. No more."""

from __future__ import annotations

import pytest
from asgiref.sync import SyncToAsync

from tests.asgi import Request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hops(monkeypatch):
    """The functions that were sent to a thread."""
    sent = []
    original = SyncToAsync.__call__

    async def counted(self, *args, **kwargs):
        sent.append(getattr(self.func, "__qualname__", repr(self.func)))
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    return sent


async def test_an_async_view_costs_django_s_two(hops):
    await Request("GET", "/health/live").read()

    assert len(hops) <= 2, hops


async def test_a_sync_view_costs_one_more(hops):
    request = Request("GET", "/info")
    await request.read()

    assert request.status == 200
    assert len(hops) <= 3, hops


async def test_a_refusal_costs_what_django_s_log_takes(hops):
    request = Request("GET", "/api/v1/users/me")
    await request.read()

    assert request.status == 401
    assert len(hops) <= 4, hops
