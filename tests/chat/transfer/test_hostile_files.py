"""A11: what somebody made to break an import is refused whole, or cut to what can be stored."""

from __future__ import annotations

import pytest
from django.conf import settings

from chat.models import Conversation, Message
from chat.services.imports import pieces
from common.errors import Invalid, PayloadTooLarge
from tests.chat.transfer.files import chatgpt, exported, node, own, said, talk, tree
from tests.chat.transfer.hostile import CUT, REFUSED

pytestmark = pytest.mark.django_db(transaction=True)

_SMALL = 100_000


def test_there_are_enough_of_them():
    assert len(REFUSED) + len(CUT) >= 60


@pytest.mark.row("I3")
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_stored(take, name):
    with pytest.raises((Invalid, PayloadTooLarge)) as refusal:
        take(REFUSED[name](_SMALL))

    assert len(str(refusal.value)) < 300  # G3
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("name", CUT)
def test_what_is_left_of_a_file_is_a_sound_tree(take, name):
    summary = take(CUT[name](_SMALL)).as_fields()

    assert summary["added"]
    for conversation in Conversation.objects.all():
        rows = list(Message.objects.filter(conversation=conversation).order_by("position"))
        places = {row.pk: row.position for row in rows}
        assert all(
            places[row.parent_id] < row.position for row in rows if row.parent_id is not None
        )
        ends = [row.ended_position or row.position for row in rows]
        assert conversation.last_position == max(ends, default=0)
        assert conversation.last_position <= 10 * (len(rows) + 500)
        assert {row.status for row in rows}.isdisjoint({"pending", "streaming"})
        assert {row.role for row in rows} <= {"system", "user", "assistant", "tool"}
    again = take(exported(*Conversation.objects.all())).as_fields()
    assert again["added"] == 0


def test_circles_and_parents_that_are_missing_are_cut(take):
    found = take(
        own(
            talk(
                said("a", parent_id="b"),
                said("b", parent_id="a"),
                said("c", parent_id="gone"),
                said("d", parent_id="c"),
                said("d", "twice"),
            )
        )
    )

    there = {text: parent for _role, text, parent in tree(found.outcomes[0].id)}
    assert there == {"a": "b", "b": None, "c": None, "d": "c"}
    assert found.outcomes[0].left_out == 1


@pytest.mark.row("A3")
def test_a_chain_is_as_long_as_a_conversation_may_be(take, monkeypatch, settings):
    settings.MESSAGE_CHAIN = 3

    found = take(own(talk(*[said(str(n), parent_id=str(n - 1)) for n in range(5)])))

    assert [text for _role, text, _parent in tree(found.outcomes[0].id)] == ["0", "1", "2"]
    assert found.outcomes[0].left_out == 2


def test_texts_become_what_every_database_holds(take):
    take(
        b'{"format":"parley.conversations","version":1,"conversations":[{"id":"x","title":"a\\u0000",'
        b'"messages":[{"id":"1","role":"user","content":"\\ud83d\\ude00\\ud800!"}]}]}'
    )

    assert Conversation.objects.get().title == "a\ufffd"
    assert Message.objects.get().content == "\U0001f600\ufffd!"


@pytest.mark.row("A4")
def test_roles_and_rights_are_not_imported(take):
    """O9"""
    found = take(
        own(
            talk(
                said("1", role="agent"),
                model="somebody-elses",
                parameters={"api_base": "http://x", "temperature": 1, "top_p": 9},
                owner="root",
                epoch=7,
                title="T" * 1_000,
            )
        )
    )

    conversation = Conversation.objects.get(pk=found.outcomes[0].id)
    assert Message.objects.get().role == "user"
    assert (conversation.model, conversation.epoch) == ("", 0)
    assert conversation.parameters == {"temperature": 1}
    assert len(conversation.title) == settings.TITLE_CHARACTERS


def test_of_a_file_that_is_refused_in_its_middle_nothing_is_stored(take):
    good = own(talk(said("1")), talk(said("2"), id="second"))
    broken = good.replace(b'"content": "2"', b'"content": 1e999')

    with pytest.raises(Invalid):
        take(broken)

    assert not Conversation.objects.exists()
    assert take(good).as_fields()["added"] == 2


def test_each_message_of_a_file_is_parsed_once(take, monkeypatch):
    parsed: list[bytes] = []
    parse = pieces.parse

    def counted(piece):
        parsed.append(piece)
        return parse(piece)

    monkeypatch.setattr(pieces, "parse", counted)
    nodes = [node(f"n{n}", None, "user", f"text {n}.") for n in range(50)]

    take([chatgpt(*nodes)])

    for number in range(50):
        assert sum(f"text {number}.".encode() in piece for piece in parsed) == 1


@pytest.mark.parametrize("depth", range(1, 25))
def test_what_is_nested_in_a_message_hides_nothing_behind_it(take, depth):
    inner: object = ['"]}', {"[": "{"}]
    for _level in range(depth):
        inner = {"a": [], "b": inner, "c": {"d": {}}}
    nodes = [node(name, None, "user", name, deep=inner) for name in ("one", "two")]

    found = take([chatgpt(*nodes), chatgpt(node("three", None, "user", "three"), name="c-2")])

    assert found.as_fields()["messages"] == 3
