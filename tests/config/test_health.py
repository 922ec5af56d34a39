"""R10: what Parley stands on, looked at rarely and told without particulars."""

from __future__ import annotations

import asyncio

import pytest
from django.core.cache import cache

from common import health as health_module
from common import lifecycle
from common.health import health
from tests.asgi import Request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_look():
    health.forget()
    yield
    health.forget()


@pytest.fixture
def failing(monkeypatch):
    """Makes one check fail, in the words of a driver that knows too much."""

    def fail(name: str) -> None:
        async def check() -> None:
            raise ConnectionError("postgres://user:secret-42@db.internal:5432")

        monkeypatch.setitem(health_module.registered, name, check)

    return fail


async def test_all_well():
    request = Request("GET", "/health")

    found = await request.json()

    assert request.status == 200
    assert found["status"] == "healthy"
    assert set(found["checks"]) == {"database", "cache", "channel_layer", "jobs"}
    assert set(found["checks"].values()) == {"ok"}
    assert found["active_connections"] == 0


@pytest.mark.row("R10")
@pytest.mark.parametrize("name", ["database", "cache", "channel_layer", "jobs"])
async def test_a_failing_check_is_named_and_nothing_else(failing, name, caplog):
    failing(name)
    request = Request("GET", "/health")

    body = (await request.read()).decode()

    assert request.status == 503
    assert f'"{name}":"failing"' in body
    assert '"unhealthy"' in body
    assert "secret-42" not in body + caplog.text
    assert "internal" not in body


@pytest.mark.row("R10")
async def test_a_hanging_check_fails_within_its_time(monkeypatch, settings):
    settings.HEALTH_CHECK_SECONDS = 0.05

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setitem(health_module.registered, "cache", hang)
    request = Request("GET", "/health")

    found = await request.json()

    assert request.status == 503
    assert found["checks"]["cache"] == "failing"


@pytest.mark.row("R10")
async def test_many_callers_share_one_look(monkeypatch):
    """R10: 1 000 calls: at most one query in that time."""
    looks = 0

    async def count() -> None:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)

    monkeypatch.setitem(health_module.registered, "database", count)

    async def ask() -> int:
        request = Request("GET", "/health")
        await request.read()
        return request.status

    answered = await asyncio.gather(*(ask() for _ in range(1_000)))

    assert set(answered) == {200}

    assert looks == 1


async def test_live_touches_nothing(failing):
    for name in ("database", "cache", "channel_layer", "jobs"):
        failing(name)
    request = Request("GET", "/health/live")

    await request.read()

    assert request.status == 200


async def test_ready_asks_for_the_database_only(failing):
    failing("cache")
    request = Request("GET", "/health/ready")
    assert await request.begun() == 200

    health.forget()
    failing("database")
    request = Request("GET", "/health/ready")
    assert await request.begun() == 503


@pytest.mark.row("F2")
async def test_a_draining_server_is_not_ready(monkeypatch):
    """F2: ready is 503 at once."""
    monkeypatch.setattr(lifecycle, "draining", True)
    request = Request("GET", "/health/ready")

    assert await request.begun() == 503


async def test_jobs_elsewhere_are_known_by_their_heartbeat(settings):
    settings.CELERY_TASK_ALWAYS_EAGER = False
    request = Request("GET", "/health")
    assert (await request.json())["checks"]["jobs"] == "failing"

    from common.tasks import heartbeat  # noqa: PLC0415 the task, run as a worker runs it

    heartbeat()
    health.forget()
    request = Request("GET", "/health")

    assert (await request.json())["checks"]["jobs"] == "ok"
    assert cache.get(health_module.JOBS_SEEN) is not None
