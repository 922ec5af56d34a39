"""The tree of messages: siblings, parents, places, and who may name them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from chat.models import Conversation, Message, Turn
from chat.services import turn_requests
from chat.services.conversations import change_conversation, create_conversation
from chat.services.messages import branch, edit_message, message_of
from chat.services.turn_requests import (
    regenerate,
    send_message,
    send_to_new_conversation,
    turn_of_message,
    turns_begun_since,
)
from common.errors import Conflict, Invalid, NotFound
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import Gate, make_model, read
from tests.chat.rows import chain
from tests.waiting import until


def talk(alice, conversation, script, text="Hi", **fields):
    """One question with its answer, as stored."""
    script(TextDelta(f"To {text}"), Finished("stop"))
    ref = send_message(alice, conversation.id, content=text, **fields).ref
    read(ref)
    answer = Message.objects.get(pk=ref.message_id)
    return answer.parent, answer


def test_a_message_follows_the_newest_one_unless_told_otherwise(alice, conversation, script):
    _question, answer = talk(alice, conversation, script)

    following, _answer = talk(alice, conversation, script, "And?")
    root, _answer = talk(alice, conversation, script, "Anew", parent_id=None)

    assert following.parent_id == answer.id
    assert root.parent_id is None


def test_regenerating_adds_a_sibling_and_keeps_the_old_answer(alice, conversation, script):
    question, first = talk(alice, conversation, script)
    script(TextDelta("Better"), Finished("stop"))

    ref = regenerate(alice, first.id).ref
    events = read(ref)

    second = Message.objects.get(pk=ref.message_id)
    assert (second.parent_id, second.content) == (question.id, "Better")
    assert Message.objects.get(pk=first.id).content == first.content
    siblings = [str(first.id), str(second.id)]
    assert events[-1]["message"]["siblings"] == siblings
    assert [str(each) for each in message_of(alice, first.id)["siblings"]] == siblings
    assert events[0]["user_message"]["id"] == str(question.id)
    conversation.refresh_from_db()
    assert conversation.message_count == 3


def test_only_answers_can_be_regenerated(alice, charlie, conversation, script):
    question, answer = talk(alice, conversation, script)

    with pytest.raises(Invalid):
        regenerate(alice, question.id)
    with pytest.raises(NotFound):
        regenerate(charlie, answer.id)
    with pytest.raises(NotFound):
        regenerate(alice, uuid4())


def test_a_question_that_vanishes_while_it_is_answered_again_is_not_found(
    alice, conversation, script, monkeypatch
):
    """Deleted by another tab, which held the lock between our look and our own."""
    question, answer = talk(alice, conversation, script)
    real = turn_requests.lock_conversation

    def deleted_meanwhile(*args, **kwargs):
        Message.objects.filter(pk__in=[question.id, answer.id]).update(parent=None)
        Message.objects.filter(pk__in=[question.id, answer.id]).delete()
        return real(*args, **kwargs)

    monkeypatch.setattr(turn_requests, "lock_conversation", deleted_meanwhile)

    with pytest.raises(NotFound):
        regenerate(alice, answer.id)


@pytest.mark.row("A2", "A3")
def test_a_parent_of_another_conversation_is_invalid_and_of_another_person_not_found(
    alice, charlie, conversation, script
):
    mine = Conversation.objects.create(owner=alice.user, model="echo")
    theirs = Conversation.objects.create(owner=charlie.user, model="echo")
    in_mine, in_theirs = chain(mine, 1)[0], chain(theirs, 1)[0]

    with pytest.raises(Invalid) as refusal:
        send_message(alice, conversation.id, content="Hi", parent_id=in_mine.id)
    assert "parent_id" in (refusal.value.errors or {})
    for parent in (in_theirs.id, uuid4()):
        with pytest.raises(NotFound):
            send_message(alice, conversation.id, content="Hi", parent_id=parent)

    assert not conversation.messages.exists()
    assert not Turn.objects.exists()


@pytest.mark.row("A2")
def test_another_person_s_conversation_does_not_exist(alice, charlie, conversation, script):
    question, answer = talk(alice, conversation, script)

    for attempt in (
        lambda: send_message(charlie, conversation.id, content="Hi"),
        lambda: branch(charlie, conversation.id, limit=10),
        lambda: message_of(charlie, answer.id),
        lambda: edit_message(charlie, question.id, "mine now"),
        lambda: turn_of_message(charlie, answer.id),
        lambda: change_conversation(charlie, conversation.id, title="mine now"),
        lambda: change_conversation(charlie, conversation.id),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_the_active_branch_is_the_path_to_the_newest_message(alice, conversation, script):
    first, answer = talk(alice, conversation, script, "One")
    talk(alice, conversation, script, "Two")
    edited, edited_answer = talk(alice, conversation, script, "Two, edited", parent_id=answer.id)

    page = branch(alice, conversation.id, limit=10)

    assert [each["id"] for each in page.messages] == [
        first.id,
        answer.id,
        edited.id,
        edited_answer.id,
    ]
    assert len(page.messages[2]["siblings"]) == 2
    assert page.previous is None


def test_another_branch_is_shown_by_its_last_message(alice, conversation, script):
    first, answer = talk(alice, conversation, script, "One")
    second, _answer = talk(alice, conversation, script, "Two")
    talk(alice, conversation, script, "Else", parent_id=None)

    page = branch(alice, conversation.id, branch=second.id, limit=10)

    assert [each["id"] for each in page.messages] == [first.id, answer.id, second.id]


def test_pages_go_upward_without_gap_or_overlap(alice, conversation, model):
    made = [each.id for each in chain(conversation, 25)]

    page = branch(alice, conversation.id, limit=10)
    found = [each["id"] for each in page.messages]
    while page.previous is not None:
        page = branch(alice, conversation.id, before=page.previous, limit=10)
        found = [*(each["id"] for each in page.messages), *found]

    assert found == made


@pytest.mark.parametrize("name", ["branch", "before"])
def test_an_unknown_branch_or_place_is_not_found(alice, conversation, name):
    chain(conversation, 3)

    with pytest.raises(NotFound):
        branch(alice, conversation.id, limit=10, **{name: uuid4()})


def test_an_empty_conversation_is_an_empty_branch(alice, conversation):
    page = branch(alice, conversation.id, limit=10)

    assert (page.messages, page.previous) == ([], None)


def test_a_message_that_is_being_written_shows_its_checkpoint(alice, conversation, script):
    gate = Gate()
    script(TextDelta("So far"), gate, Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: Turn.objects.filter(text="So far").exists(), "a checkpoint was saved")

    assert message_of(alice, ref.message_id)["content"] == "So far"
    shown = branch(alice, conversation.id, limit=10).messages[-1]
    assert (shown["content"], shown["status"]) == ("So far", "streaming")
    gate.open()
    read(ref)


def test_a_message_is_edited_in_place(alice, conversation, script):
    question, answer = talk(alice, conversation, script)

    shown = edit_message(alice, question.id, "Edited")

    question.refresh_from_db()
    assert shown["content"] == question.content == "Edited"
    assert question.edited_at is not None
    assert Message.objects.count() == 2
    assert Message.objects.get(pk=answer.id).content == answer.content


def test_an_answer_that_is_being_written_cannot_be_edited(alice, conversation, script):
    gate = Gate()
    script(TextDelta("So far"), gate, Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref

    with pytest.raises(Conflict, match="still being written"):
        edit_message(alice, ref.message_id, "Mine")

    gate.open()
    assert read(ref)[-1]["message"]["content"] == "So far"


def test_places_are_unique_without_a_gap_and_in_the_order_of_commits(alice, conversation, script):
    """ARCHITECTURE, order: by position, never by id or time."""
    for number in range(4):
        talk(alice, conversation, script, f"Question {number}")

    rows = Message.objects.order_by("position").values_list("role", "position", "ended_position")
    assert list(rows) == [
        ("user", 1, None),
        ("assistant", 2, 3),
        ("user", 4, None),
        ("assistant", 5, 6),
        ("user", 7, None),
        ("assistant", 8, 9),
        ("user", 10, None),
        ("assistant", 11, 12),
    ]
    conversation.refresh_from_db()
    assert conversation.last_position == 12


def test_a_refused_send_takes_no_place(alice, conversation, script):
    talk(alice, conversation, script)

    with pytest.raises(NotFound):
        send_message(alice, conversation.id, content="Hi", parent_id=uuid4())
    with pytest.raises(NotFound):
        send_message(alice, conversation.id, content="Hi", model="unknown")

    conversation.refresh_from_db()
    assert (conversation.last_position, conversation.message_count) == (3, 2)


def test_the_chosen_model_is_remembered_by_the_conversation(alice, conversation, script):
    make_model("other")

    _question, answer = talk(alice, conversation, script, model="other")

    conversation.refresh_from_db()
    assert (conversation.model, answer.model) == ("other", "other")


def test_parameters_of_the_send_win_over_those_of_the_conversation(alice, conversation, script):
    Conversation.objects.update(parameters={"temperature": 1, "seed": 7})

    talk(alice, conversation, script, parameters={"temperature": 0})

    request = script.requests[0][1]
    assert request.temperature == 0
    assert request.options == {"seed": 7}


def test_a_send_without_a_conversation_makes_one(alice, model, script):
    script(TextDelta("Hello"), Finished("stop"))

    ref = send_to_new_conversation(alice, content="Hi").ref
    read(ref)

    made = Conversation.objects.get()
    assert (made.pk, made.owner_id, made.model) == (ref.conversation_id, alice.user.pk, "echo")
    assert (made.message_count, made.last_position) == (2, 3)


def test_a_refused_send_without_a_conversation_makes_none(alice, model):
    with pytest.raises(NotFound):
        send_to_new_conversation(alice, content="Hi", model="unknown")

    assert not Conversation.objects.exists()


def test_turns_of_people_are_found_by_when_they_began(alice, charlie, conversation, script):
    _question, answer = talk(alice, conversation, script)
    turn = Turn.objects.get()

    found = turns_begun_since([alice.user.pk], turn.created_at.replace(year=2000))

    assert [each.message_id for each in found] == [answer.id]
    assert turns_begun_since([charlie.user.pk], turn.created_at.replace(year=2000)) == []
    assert turns_begun_since([alice.user.pk], turn.created_at) == []


def test_a_message_without_a_turn_cannot_be_rejoined(alice, conversation):
    message = chain(conversation, 1)[0]

    with pytest.raises(NotFound):
        turn_of_message(alice, message.id)


def test_a_title_that_a_person_gave_is_marked_as_theirs(alice, model):
    untitled = create_conversation(alice)
    titled = create_conversation(alice, title="Mine")

    renamed = change_conversation(alice, untitled.pk, title="Mine too", archived=True)

    assert (untitled.title_source, titled.title_source) == ("none", "user")
    assert (renamed.title_source, renamed.archived) == ("user", True)
    assert change_conversation(alice, untitled.pk, title="").title_source == "none"


@pytest.mark.row("A7")
def test_a_conversation_cannot_be_given_a_model_that_is_not_theirs(
    alice, charlie, conversation, model
):
    make_model("private", everyone=False, owner=charlie.user)

    with pytest.raises(NotFound):
        change_conversation(alice, conversation.id, model="private")
    with pytest.raises(NotFound):
        create_conversation(alice, model="private")

    assert change_conversation(alice, conversation.id, model="echo").model == "echo"
