"""Transactions that write, and threads that give their connections back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import current_thread, get_ident

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from chat.models import Conversation
from common.db import in_thread, write_transaction
from tests.chat.threads import all_at_once

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


def test_fifty_writers_at_once_all_get_their_turn(row):
    """F7: no "database is locked"."""

    def write():
        with write_transaction():
            return Conversation.objects.filter(pk=row.pk).update(title="After")

    assert all_at_once([write] * 50) == [1] * 50


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
