"""A talk: which conversation goes on, which model answers, and what is refused in plain words."""

from __future__ import annotations

import pytest

from accounts.services.callers import Caller
from chat.models import Conversation, Message
from chat.terminal.talk import Talk
from common.errors import Conflict, Invalid, NotFound, RateLimited
from models_registry.errors import ModelUnavailable
from models_registry.models import ChatModel
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import make_model, read

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def talk(alice, model):
    talk = Talk(alice)
    talk.choose(None)
    return talk


@pytest.fixture
def ask(talk, script):
    """Ask, and wait for the answer "ok"."""

    def ask(content):
        script(TextDelta("ok"), Finished("stop", None))
        ref = talk.ask(content)
        read(ref)
        return ref

    return ask


def test_the_first_question_makes_a_conversation_and_the_next_one_goes_on(talk, ask, alice):
    first, second = ask("One"), ask("Two")

    assert first.conversation_id == second.conversation_id == talk.conversation.pk
    assert [message["content"] for message in talk.messages(limit=10)] == ["One", "ok", "Two", "ok"]


def test_a_new_one_begins_without_the_old_instructions(talk, ask, script):
    talk.instruct("Be brief.")
    ask("One")
    talk.begin()
    ask("Two")

    assert Conversation.objects.count() == 2
    assert [message["role"] for message in script.requests[1][1].messages] == ["user"]


def test_last_is_the_newest_of_ones_own(talk, ask, charlie):
    ask("One")
    mine = talk.conversation
    Conversation.objects.create(owner=charlie.user, model="echo")
    talk.begin()

    talk.open("last")

    assert talk.conversation == mine


def test_another_person_s_conversation_is_not_there(talk, charlie):
    theirs = Conversation.objects.create(owner=charlie.user, model="echo")

    with pytest.raises(NotFound, match="no such conversation"):
        talk.open(str(theirs.pk))


def test_what_is_no_id_is_told(talk):
    with pytest.raises(Invalid, match="nothing is no"):
        talk.open("nothing")


def test_a_chosen_model_answers_and_is_remembered(talk, ask, script):
    make_model("other")
    ask("One")
    talk.choose("other")
    ask("Two")
    ask("Three")

    assert [route.name for route, _request in script.requests] == ["echo", "other", "other"]
    talk.open("last")
    assert talk.model.name == "other"


def test_a_model_that_is_not_there_names_those_that_are(talk):
    with pytest.raises(NotFound, match=r"no model nope .* echo"):
        talk.choose("nope")


def test_a_model_that_went_away_is_named(talk, ask):
    ask("One")
    ChatModel.objects.all().delete()
    make_model("other")

    with pytest.raises(ModelUnavailable, match=r"no model echo .* other"):
        talk.ask("Two")


def test_again_adds_another_answer(talk, ask, script):
    make_model("other")
    ask("One")
    script(TextDelta("better"), Finished("stop", None))

    read(talk.ask_again("other"))

    answers = Message.objects.filter(role="assistant").order_by("position")
    assert [each.content for each in answers] == ["ok", "better"]
    assert len({each.parent_id for each in answers}) == 1
    assert script.requests[-1][0].name == "other"


def test_nothing_can_be_asked_again_before_the_first_answer(talk):
    with pytest.raises(Conflict, match="no answer"):
        talk.ask_again()


def test_a_refused_question_leaves_no_conversation_behind(talk, monkeypatch):
    def refuse(*_arguments):
        raise RateLimited

    monkeypatch.setattr("chat.services.turn_requests.rates.hit", refuse)
    talk.instruct("Be brief.")

    with pytest.raises(RateLimited):
        talk.ask("One")

    assert not Conversation.objects.exists()


@pytest.mark.parametrize("content", ["x" * 100_001, "nul \x00", "half \ud800"])
def test_what_the_wire_would_refuse_is_refused(talk, content):
    with pytest.raises(Invalid):
        talk.ask(content)


def test_a_title_and_instructions_are_stored(talk, ask):
    with pytest.raises(Conflict, match="Ask something first"):
        talk.rename("Too soon")
    ask("One")

    talk.rename("Plans")
    talk.instruct("Be brief.")

    stored = Conversation.objects.get()
    assert (stored.title, stored.title_source, stored.system_prompt) == (
        "Plans",
        "user",
        "Be brief.",
    )


def test_recent_ones_come_with_their_first_question(talk, ask):
    ask("What is it?")
    talk.begin()
    ask("And then?")

    assert [each.question for each in talk.recent()] == ["And then?", "What is it?"]


def test_a_talk_needs_no_sign_in(alice):
    assert Talk(Caller(alice.user, None)).recent() == []
