"""Statements that are compiled once do what Django's own would."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from chat.models import Conversation, Message, SearchPiece, Turn
from common.db import write_transaction
from common.statements import (
    Select,
    SelectWith,
    delete,
    insert,
    insert_rows,
    update,
    update_returning,
)
from tests.chat.rows import chain
from tests.chat.threads import all_at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row():
    owner = get_user_model().objects.create(username="alice", username_key="alice", email="a@x.ex")
    return Conversation.objects.create(owner=owner, title="Before", last_position=5)


def test_an_update_brings_the_row_as_it_is_afterwards(row):
    found = update_returning(
        Conversation,
        where={"id": row.pk, "owner": row.owner_id},
        changes={"title": "After", "parameters": {"a": [1, "ü"]}},
        raised={"last_position": 2, "message_count": 1},
    )

    assert found is not None
    assert found == row
    assert (found.title, found.parameters) == ("After", {"a": [1, "ü"]})
    assert (found.last_position, found.message_count) == (7, 1)
    row.refresh_from_db()
    assert (row.title, row.last_position, row.created_at) == ("After", 7, found.created_at)


def test_an_update_of_nothing_brings_nothing(row):
    for where in ({"id": uuid4()}, {"id": row.pk, "owner": uuid4()}):
        assert update_returning(Conversation, where=where, changes={"title": "After"}) is None

    row.refresh_from_db()
    assert row.title == "Before"


def test_only_rows_that_match_are_deleted(row):
    other = Conversation.objects.create(owner=row.owner, title="Other", importing_at=None)
    delete(Conversation, where={"id": row.pk, "title": "Other"})
    delete(Conversation, where={"id": other.pk, "importing_at": None})

    assert list(Conversation.objects.all()) == [row]


def test_a_row_that_the_database_numbers_is_written_without_its_number(row):
    columns = ("conversation", "message", "words")
    insert_rows(SearchPiece, columns, [(row.pk, None, ["apples", "pears"])] * 3)

    assert SearchPiece.objects.filter(conversation=row).values("id").distinct().count() == 3
    delete(SearchPiece, where={"conversation": row.pk, "message": None})
    assert not SearchPiece.objects.exists()


def test_an_update_is_one_statement(row, django_assert_num_queries):
    with django_assert_num_queries(1):
        update_returning(Conversation, where={"id": row.pk}, raised={"epoch": 1})


@pytest.mark.row("A5")
def test_values_are_parameters_and_never_sql(row):
    evil = "'; DROP TABLE chat_conversation; -- %s"

    found = update_returning(Conversation, where={"id": row.pk}, changes={"title": evil})

    assert found is not None
    assert found.title == evil


@pytest.mark.row("R1")
def test_raising_at_once_loses_nothing(row):
    """R1: counters are atomic."""

    def raise_it():
        with write_transaction():
            raised = update_returning(
                Conversation, where={"id": row.pk}, raised={"last_position": 1}
            )
        return raised and raised.last_position

    places = all_at_once([raise_it] * 20)

    assert sorted(places) == list(range(6, 26))


def test_an_update_says_how_many_rows_it_changed(row):
    assert update(Conversation, where={"id": row.pk}, changes={"title": "After"}) == 1
    assert update(Conversation, where={"id": uuid4()}, changes={"title": "Never"}) == 0

    row.refresh_from_db()
    assert row.title == "After"


def test_rows_are_written_as_django_would_write_them(row):
    theirs = chain(row, 1)[0]
    ours = Message(
        conversation=row, role="user", content="%s ü \U0001f600", position=99, context={"a": None}
    )

    insert(ours)

    stored = Message.objects.get(pk=ours.pk)
    assert not ours._state.adding  # noqa: SLF001 documented
    names = [field.attname for field in Message._meta.concrete_fields]  # noqa: SLF001
    assert {name: getattr(stored, name) for name in names} == {
        name: getattr(ours, name) for name in names
    }
    assert set(Message.objects.values_list("content", flat=True)) == {theirs.content, ours.content}


def test_several_rows_are_one_statement_and_may_refer_to_each_other(row, django_assert_num_queries):
    question = Message(conversation=row, role="user", content="Q", position=90)
    answer = Message(
        conversation=row, role="assistant", content="A", position=91, parent_id=question.pk
    )

    with django_assert_num_queries(1):
        insert(question, answer)

    assert Message.objects.get(pk=answer.pk).parent == question


def test_a_broken_constraint_is_an_integrity_error(row):
    turn = {"purpose": "message", "owner": "server-x", "model": "echo", "conversation": row}
    insert(Turn(**turn))

    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Turn(**turn))

    assert Turn.objects.count() == 1


def test_a_selection_gives_the_values_that_its_queryset_would(row):
    other = Conversation.objects.create(owner=row.owner, title="Other")
    chain(row, 3)
    chain(other, 2)
    fields = ("id", "role", "position", "context", "created_at", "parent_id")
    messages = Select(
        "conversation",
        build=lambda conversation: (
            Message.objects.filter(conversation=conversation).order_by("-position")
        ).values_list(*fields),
    )

    for each in (row, other, row):
        expected = Message.objects.filter(conversation=each).order_by("-position")
        assert [tuple(found) for found in messages.rows(conversation=each.pk)] == list(
            expected.values_list(*fields)
        )
    assert messages.rows(conversation=uuid4()) == []


def test_a_selection_with_a_relation_brings_both_rows_in_one_statement(
    row, django_assert_num_queries
):
    chosen = SelectWith(
        Conversation,
        "owner",
        "conversation",
        build=lambda conversation: Conversation.objects.filter(pk=conversation),
    )
    chosen.first(conversation=row.pk)

    with django_assert_num_queries(1):
        found = chosen.first(conversation=row.pk)
        assert found is not None
        owner = found.owner

    assert (found, owner) == (row, row.owner)
    assert (found.title, owner.username, found.created_at) == ("Before", "alice", row.created_at)
    assert chosen.first(conversation=uuid4()) is None


_NAMES = ("id", "conversation", "created_at", "position", "role", "content", "context", "sources")


def rows_of(conversation, count):
    return [
        (uuid7(), conversation.pk, timezone.now(), n + 1, "user", f"Text {n} ü", None, [{"n": n}])
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_many_rows_are_written_as_django_would_write_them(row, count):
    insert_rows(Message, _NAMES, rows := rows_of(row, count))

    found = Message.objects.order_by("position")
    assert [tuple(each) for each in found.values_list(*_NAMES)] == rows
    defaults = Message()
    for each in found:
        assert (each.tool_calls, each.status, each.seconds) == ([], defaults.status, None)
        assert (each.fallback, each.cost, each.parent) == (False, None, None)


def test_many_rows_take_few_statements(row, django_assert_num_queries):
    with django_assert_num_queries(1 + 1 + 1 + 1):  # 256, 32, 8 and 4 of them
        insert_rows(Message, _NAMES, rows_of(row, 300))


def test_of_many_rows_none_is_written_where_one_is_refused(row):
    rows = rows_of(row, 3)
    rows[2] = (*rows[2][:3], 1, *rows[2][4:])

    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows(Message, _NAMES, rows)

    assert not Message.objects.exists()
