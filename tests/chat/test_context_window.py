"""What a model gets to see: the newest messages that fit, whole, and a count of the others."""

from __future__ import annotations

import pytest

from chat.models import Conversation, Message, Turn
from chat.services.messages import branch
from chat.services.turn_requests import chat_once, regenerate, send_message
from chat.turns.context import Past, build_context, room_for
from common.errors import Invalid
from models_registry.providers.base import Finished, TextDelta
from models_registry.tokens import O200K, count_messages
from quotas.models import Hold
from tests.chat.conftest import make_model, read
from tests.chat.rows import chain


def build(history, *, content="new", system_prompt="", room=100):
    """One token a character, to keep the sums easy; each message costs four more.

    What starts the answer costs three: they come on top of `room`.
    """
    newest_first = [Past(role, text) for role, text in reversed(history)]
    return build_context(
        system_prompt=system_prompt,
        content=content,
        history=iter(newest_first),
        history_length=len(newest_first),
        room=3 + room,
        count=len,
    )


def shown(context):
    return [(each["role"], each["content"]) for each in context.messages]


def test_everything_fits_in_its_order():
    context = build([("user", "a"), ("assistant", "b")], system_prompt="be kind")

    assert shown(context) == [
        ("system", "be kind"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "new"),
    ]
    assert context.left_out == 0
    assert context.tokens == 3 + (7 + 4) + (1 + 4) + (1 + 4) + (3 + 4)


def test_the_newest_that_fit_are_kept_and_the_rest_is_counted():
    history = [("user", "x" * 10) for _ in range(10)]

    context = build(history, room=7 + 3 * 14)

    assert len(context.messages) == 4
    assert context.left_out == 7


def test_the_room_may_be_filled_to_the_last_token():
    assert build([("user", "x" * 10)], room=7 + 14).left_out == 0
    assert build([("user", "x" * 10)], room=7 + 13).left_out == 1


def test_no_message_is_cut_and_nothing_beyond_one_that_does_not_fit():
    """A small old message after a large one would be a hole in the talk."""
    history = [("user", "small"), ("assistant", "x" * 1_000), ("user", "recent")]

    context = build(history)

    assert shown(context) == [("user", "recent"), ("user", "new")]
    assert context.left_out == 2


def test_empty_and_tool_messages_take_no_place():
    history = [("user", "a"), ("assistant", ""), ("tool", "result"), ("agent", "b")]

    context = build(history)

    assert shown(context) == [("user", "a"), ("assistant", "b"), ("user", "new")]
    assert context.left_out == 0


@pytest.mark.parametrize(
    ("content", "system_prompt"), [("x" * 97, ""), ("x", "y" * 96), ("x" * 50, "y" * 50)]
)
def test_a_message_that_cannot_fit_is_refused(content, system_prompt):
    with pytest.raises(Invalid) as refusal:
        build([], content=content, system_prompt=system_prompt)

    assert "content" in (refusal.value.errors or {})


def test_answering_again_needs_the_question_to_fit():
    with pytest.raises(Invalid):
        build([("user", "x" * 97)], content=None)

    assert shown(build([("user", "x" * 96)], content=None)) == [("user", "x" * 96)]


@pytest.mark.parametrize(
    ("window", "answer", "room"),
    [(8_000, 2_000, 6_000), (8_000, 7_000, 4_000), (None, 1_000, 15_000), (10, 4_000, 5)],
)
def test_the_answer_has_its_room_but_never_more_than_half(window, answer, room):
    assert room_for(window, default_window=16_000, answer_tokens=answer) == room


# -- through a turn ----------------------------------------------------------------------------
def asked_for(script):
    return [(each["role"], each["content"]) for each in script.requests[-1][1].messages]


def test_a_turn_sends_the_system_prompt_and_its_branch(alice, conversation, script):
    Conversation.objects.update(system_prompt="Be kind.")
    made = chain(conversation, 4)
    script(TextDelta("Yes."), Finished("stop"))

    read(send_message(alice, conversation.id, content="On", parent_id=made[1].id).ref)

    assert asked_for(script) == [
        ("system", "Be kind."),
        ("user", "word 0"),
        ("assistant", "word 1"),
        ("user", "On"),
    ]


def test_a_prompt_counts_the_same_in_a_conversation_and_without_one(alice, conversation, script):
    Conversation.objects.update(system_prompt="Be kind.")
    chain(conversation, 2)
    script(TextDelta("Yes."), Finished("stop"))
    script(TextDelta("Yes."), Finished("stop"))

    read(send_message(alice, conversation.id, content="On").ref)
    prompt = script.requests[-1][1].messages
    read(chat_once(alice, messages=prompt).ref)

    counted = set(Turn.objects.values_list("prompt_estimate", flat=True))
    assert counted == {count_messages(prompt, O200K)}


def test_what_was_left_out_is_told_in_the_message(alice, conversation, script, model):
    model.context_window = 500
    model.save()
    chain(conversation, 40, content="quite a few words to fill the window with, number")
    script(TextDelta("Yes."), Finished("stop"))

    end = read(send_message(alice, conversation.id, content="On").ref)[-1]

    left_out = end["message"]["context"]["messages_left_out"]
    assert 0 < left_out < 40
    assert len(asked_for(script)) == 40 - left_out + 1
    assert asked_for(script)[-1] == ("user", "On")


def test_a_message_longer_than_the_window_is_refused_and_leaves_nothing(
    alice, conversation, script, model
):
    model.context_window = 500
    model.save()

    with pytest.raises(Invalid):
        send_message(alice, conversation.id, content="word " * 600)

    assert script.requests == []
    assert not Message.objects.exists()
    assert not Turn.objects.exists()
    assert not Hold.objects.exists()
    conversation.refresh_from_db()
    assert (conversation.message_count, conversation.last_position) == (0, 0)


@pytest.mark.parametrize("count", [198, 199, 200, 201, 350])
def test_long_conversations_are_read_to_their_root(alice, conversation, script, model, count):
    """One query brings the newest 200; more are read when they are needed."""
    model.context_window = 1_000_000
    model.save()
    chain(conversation, count, content="w")
    script(TextDelta("Yes."), Finished("stop"))

    end = read(send_message(alice, conversation.id, content="On").ref)[-1]

    said = asked_for(script)
    assert [content for _role, content in said] == [*(f"w {n}" for n in range(count)), "On"]
    assert end["message"]["context"]["messages_left_out"] == 0


def test_a_branch_from_far_above_the_newest_messages_is_found(alice, conversation, script, model):
    made = chain(conversation, 300, content="w")
    script(TextDelta("Yes."), Finished("stop"))

    started = send_message(alice, conversation.id, content="Else", parent_id=made[3].id)
    events = read(started.ref)

    assert [content for _role, content in asked_for(script)] == [
        "w 0",
        "w 1",
        "w 2",
        "w 3",
        "Else",
    ]
    sent = events[0]["user_message"]
    assert sent["siblings"] == [str(made[4].id), sent["id"]]


@pytest.mark.row("A3")
def test_a_branch_of_too_many_links_takes_no_more_but_is_still_read(
    alice, conversation, script, model, settings
):
    """At most 10 000 links."""
    settings.MESSAGE_CHAIN = 300
    chain(conversation, 298, content="w")
    script(TextDelta("Yes."), Finished("stop"))
    read(send_message(alice, conversation.id, content="The last one").ref)

    with pytest.raises(Invalid) as refusal:
        send_message(alice, conversation.id, content="One too many")

    assert "parent_id" in (refusal.value.errors or {})
    page = branch(alice, conversation.id, limit=100)
    assert page.messages[-1]["content"] == "Yes."
    assert len(page.messages) == 100


def test_thousands_of_messages_are_no_trouble(alice, conversation, script, model):
    """R4: the work grows with what is sent, not with what is there."""
    model.context_window = 8_000
    model.save()
    chain(conversation, 6_000, content="some words")
    script(TextDelta("Yes."), Finished("stop"))

    end = read(send_message(alice, conversation.id, content="On").ref)[-1]

    kept = len(asked_for(script)) - 1
    assert 200 < kept < 6_000
    assert end["message"]["context"]["messages_left_out"] == 6_000 - kept


def test_regenerating_shows_the_model_the_talk_up_to_the_question(alice, conversation, script):
    script(TextDelta("One."), Finished("stop"))
    first = send_message(alice, conversation.id, content="Question").ref
    read(first)
    script(TextDelta("Two."), Finished("stop"))

    read(regenerate(alice, first.message_id).ref)

    assert asked_for(script) == [("user", "Question")]


def test_a_hold_is_the_prompt_and_the_expected_answer(alice, conversation, script, settings):
    """ARCHITECTURE 4: min(max_tokens or HOLD_OUTPUT_TOKENS, the model's maximum)."""
    make_model("small", max_output_tokens=50)
    tokens = {}
    for name, parameters in {
        "plain": {},
        "asked": {"max_tokens": 77},
        "capped": {"max_tokens": 5_000},
    }.items():
        Hold.objects.all().delete()
        script(Finished("stop"))
        model = "small" if name == "capped" else ""
        other = Conversation.objects.create(owner=alice.user, model="echo")
        read(send_message(alice, other.id, content="Hi", parameters=parameters, model=model).ref)
        tokens[name] = Hold.objects.get().tokens - Turn.objects.latest("id").prompt_estimate

    assert tokens == {"plain": settings.HOLD_OUTPUT_TOKENS, "asked": 77, "capped": 50}
