"""Statements that are compiled once say what the ORM says."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from chat.models import Conversation, Message
from common.statements import Select, SelectWith, insert, update, update_returning

pytestmark = pytest.mark.django_db


@pytest.fixture
def person():
    return User.objects.create(username="someone", email="someone@example.com")


def conversation_of(person: User, **fields) -> Conversation:
    return Conversation.objects.create(owner=person, parameters={"top_p": 0.5}, **fields)


def test_new_rows_read_back_as_they_were(person):
    conversation = conversation_of(person)
    question = Message(conversation=conversation, role="user", content="Why?", position=1)
    answer = Message(
        conversation=conversation,
        parent_id=question.id,
        role="assistant",
        position=2,
        context={"messages_left_out": 3},
        seconds=1.5,
        edited_at=timezone.now(),
    )

    insert(question, answer)

    for written in (question, answer):
        read = Message.objects.get(pk=written.pk)
        assert columns(read) == columns(written)
    answer.save()  # it knows that its row is there
    assert Message.objects.count() == 2


def columns(row: Message) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if not name.startswith("_")}


def test_a_constraint_refuses_as_ever(person):
    conversation = conversation_of(person)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(
            Message(conversation=conversation, role="user", position=1),
            Message(conversation=conversation, role="user", position=1),
        )


def test_an_update_brings_the_row_it_changed(person):
    conversation = conversation_of(person, last_position=3, title="Old")
    other = conversation_of(person, last_position=3)

    changed = update_returning(
        Conversation,
        where={"id": conversation.id, "owner": person.pk},
        changes={"title": "New", "parameters": {"seed": 1}},
        raised={"last_position": 2},
    )

    assert changed is not None
    read = Conversation.objects.get(pk=conversation.pk)
    for name in ("id", "owner_id", "title", "parameters", "last_position", "created_at"):
        assert getattr(changed, name) == getattr(read, name)
    assert (read.title, read.parameters, read.last_position) == ("New", {"seed": 1}, 5)
    other.refresh_from_db()
    assert other.last_position == 3


def test_an_update_that_finds_nothing_says_so(person):
    found = update_returning(Conversation, where={"id": uuid4()}, changes={"title": "New"})

    assert found is None
    assert update(Conversation, where={"id": uuid4()}, changes={"title": "New"}) == 0


def test_an_update_counts_its_rows(person):
    conversation = conversation_of(person)

    assert update(Conversation, where={"id": conversation.id}, changes={"title": "New"}) == 1


def test_a_select_runs_again_with_other_values(person):
    titles = Select(
        "owner",
        build=lambda owner: (
            Conversation.objects.filter(owner=owner)
            .order_by("title")
            .values_list("id", "title", "parameters")
        ),
    )
    first = conversation_of(person, title="a")
    second = conversation_of(person, title="b")

    assert [list(row) for row in titles.rows(owner=person.pk)] == [
        [first.id, "a", {"top_p": 0.5}],
        [second.id, "b", {"top_p": 0.5}],
    ]
    assert titles.rows(owner=uuid4()) == []


def test_a_row_comes_with_what_it_belongs_to(person, django_assert_num_queries):
    mine = SelectWith(
        Conversation,
        "owner",
        "id",
        build=lambda id: Conversation.objects.filter(pk=id),  # noqa: A006 the field's name
    )
    conversation = conversation_of(person, title="Mine' OR 1=1 %s")

    with django_assert_num_queries(1):
        found = mine.first(id=conversation.id)
        assert found is not None
        assert (found, found.owner) == (conversation, person)
        assert (found.title, found.owner.username) == ("Mine' OR 1=1 %s", "someone")
    assert mine.first(id=uuid4()) is None
