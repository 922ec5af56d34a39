"""Transactions that write, and threads that give their connections back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import current_thread, get_ident

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, transaction

from chat.models import Conversation
from common.db import bounded_query, in_thread, write_transaction
from common.errors import Unavailable
from tests.chat.threads import all_at_once

ENDLESS = """
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100000000)
    SELECT count(*) FROM number
"""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row():
    owner = get_user_model().objects.create(username="alice", username_key="alice", email="a@x.ex")
    return Conversation.objects.create(owner=owner, title="Before", last_position=5)


def test_a_write_transaction_rolls_back_as_a_whole(row):

    def write_and_fail():
        with write_transaction():
            Conversation.objects.update(title="After")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()

    row.refresh_from_db()
    assert row.title == "Before"


def test_a_nested_one_joins_the_outer_one(row):

    def write_inside_and_fail():
        with write_transaction():
            with write_transaction():
                Conversation.objects.update(title="After")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_inside_and_fail()

    row.refresh_from_db()
    assert row.title == "Before"


def test_what_runs_on_commit_may_write_too(row):
    def write_more():
        with write_transaction():
            Conversation.objects.update(epoch=9)

    with write_transaction():
        Conversation.objects.update(title="After")
        transaction.on_commit(write_more)

    row.refresh_from_db()
    assert (row.title, row.epoch) == ("After", 9)


@pytest.mark.row("F7")
def test_fifty_writers_at_once_all_get_their_turn(row):
    """F7: no "database is locked"."""

    def write():
        with write_transaction():
            return Conversation.objects.filter(pk=row.pk).update(title="After")

    assert all_at_once([write] * 50) == [1] * 50


@pytest.mark.row("F7")
def test_whoever_reads_first_is_not_refused_when_it_writes(row):
    """F7: like two processes, which do not queue for one another: SQLite would refuse all but one
    of those that begin as readers, at once."""

    def write():
        with transaction.atomic():
            read = Conversation.objects.get(pk=row.pk)
            return Conversation.objects.filter(pk=row.pk).update(title=f"{read.title}.")

    assert all_at_once([write] * 20) == [1] * 20


async def test_work_runs_in_another_thread_and_gives_its_connection_back(row):
    def look():
        title = Conversation.objects.get(pk=row.pk).title
        return title, get_ident(), connection

    title, thread, used = await in_thread(look)()

    assert title == "Before"
    assert thread != get_ident()
    assert used.connection is None


async def test_an_executor_of_one_s_own_does_the_work(row):
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        name = await in_thread(lambda: current_thread().name, executor=executor)()

    assert name.startswith("mine")


async def test_what_work_raises_arrives(row):
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        await in_thread(fail)()


def ask(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@pytest.mark.row("I11")
def test_a_query_that_takes_too_long_is_ended_and_told(row):
    with pytest.raises(Unavailable, match="too long"), bounded_query(0.05):
        ask(ENDLESS)

    assert ask("SELECT 1") == 1


@pytest.mark.row("I11")
def test_a_bound_of_nothing_still_is_one(row):
    """I11: to PostgreSQL a timeout of 0 is none."""
    with pytest.raises(Unavailable), bounded_query(0):
        ask(ENDLESS)


def test_what_follows_a_bounded_query_takes_as_long_as_it_likes(row):
    with bounded_query(0.2):  # time enough for its commit
        pass

    assert ask(ENDLESS.replace("100000000", "2000000")) == 2_000_000


def test_another_failure_of_a_bounded_query_stays_what_it_is(row):
    with pytest.raises(OperationalError, match="away"), bounded_query(5):
        raise OperationalError("away")
