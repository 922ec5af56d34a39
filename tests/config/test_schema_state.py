"""F18: code and database that do not belong together are told in /health and by a start."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db.migrations.recorder import MigrationRecorder

from common import schema_state
from common.health import health
from config import start
from tests.asgi import Request

pytestmark = pytest.mark.django_db(transaction=True)

Migration = MigrationRecorder.Migration


@pytest.fixture(autouse=True)
def _as_it_was():
    """The names of migrations are no rows of a test: what it changes, it puts back."""
    rows = list(Migration.objects.values("app", "name"))
    health.forget()
    yield
    health.forget()
    Migration.objects.all().delete()
    Migration.objects.bulk_create(Migration(**row) for row in rows)


def applied(name):
    Migration.objects.create(app="chat", name=name)


def forgotten():
    Migration.objects.filter(app="chat").order_by("-id").first().delete()


async def ask(path):
    request = Request("GET", path)
    body = await request.json()
    return request.status, body


def test_they_belong_together():
    assert schema_state.state() == schema_state.State()


@pytest.mark.row("F18")
@pytest.mark.parametrize(
    ("change", "word"),
    [(forgotten, "schema_behind"), (lambda: applied("9999_drop_x_breaking"), "schema_ahead")],
)
async def test_a_mismatch_is_not_ready_and_named(change, word):
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    await sync_to_async(change)()

    status, body = await ask("/health/ready")

    assert status == 503
    assert body == {"status": "unavailable", "checks": {"database": word}}
    assert await ask("/health") == (503, (await ask("/health"))[1])
    assert (await ask("/health"))[1]["checks"]["database"] == word
    assert (await ask("/health/live"))[0] == 200


@pytest.mark.row("F18")
async def test_beside_a_newer_version_that_only_added_the_old_one_goes_on():
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    await sync_to_async(applied)("9999_add_a_column")

    assert (await ask("/health/ready"))[0] == 200
    assert (await ask("/health"))[1]["checks"]["database"] == "ok"


def test_the_log_names_the_migrations_once_for_each_change(caplog):
    forgotten()

    for _look in range(3):
        schema_state.state()
    call_command("migrate", fake=True, verbosity=0)
    schema_state.state()

    told = [record.message for record in caplog.records if record.name == schema_state.__name__]
    assert len(told) == 2
    assert "lacks migrations: chat." in told[0]
    assert "again" in told[1]


@pytest.mark.row("F18")
def test_an_old_version_does_not_start_on_a_database_that_lost_something():
    applied("9999_drop_x_breaking")

    with pytest.raises(start.CannotStart, match=r"chat\.9999_drop_x_breaking"):
        start.migrate(lambda _text: None)


def test_it_starts_where_something_was_only_added():
    applied("9999_add_a_column")

    start.migrate(lambda _text: None)
