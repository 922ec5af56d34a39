"""Search finds what was written, in titles and messages, and nothing that is not there any more."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from chat.models import Conversation, Message, SearchPiece
from chat.services import conversations, messages
from chat.services import search as services
from chat.services.importing import import_file
from chat.services.search import index_due, index_waiting, rebuild, search
from chat.services.turn_requests import regenerate, send_message
from chat.tasks import index_for_search
from common.db import write_transaction
from common.statements import update_returning
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import Gate, read
from tests.chat.planted import corpus
from tests.chat.rows import chain
from tests.chat.transfer.files import own, said, talk

pytestmark = pytest.mark.django_db(transaction=True)


def found(caller: Any, text: str) -> set[Any]:
    mine = Conversation.objects.visible_to(caller.user)
    return set(search(mine, caller.user, text).values_list("id", flat=True))


def found_by_job(caller: Any, text: str) -> set[Any]:
    """What is found without looking first for what was just written."""
    rows = SearchPiece.objects.found_by(caller.user, text)
    return set(rows.values_list("conversation", flat=True))


@pytest.mark.parametrize(
    "text",
    [
        "refund",
        "REFUND",
        "refu",
        "zurich",
        "Zürich",
        "退款",
        "款",
        "款到Zürich",
        '"about the refund"',
    ],
)
def test_a_message_is_found(alice, conversation, text):
    chain(conversation, 2, content="Asks about the refund: 我想申请退款到Zürich的账户")

    assert found(alice, text) == {conversation.id}


@pytest.mark.parametrize(
    "text", ["款退", "und", "refunded", '"the about"', "refund 银行", "%", "*"]
)
def test_what_was_not_written_is_not_found(alice, conversation, text):
    chain(conversation, 2, content="Asks about the refund: 我想申请退款到Zürich的账户")

    assert found(alice, text) == set()


@pytest.mark.parametrize("text", ["plans", "计划", "划", "pla"])
def test_a_title_is_found_as_it_is_now(alice, conversation, text):
    conversations.change_conversation(alice, conversation.id, title="Plans 计划")
    assert found(alice, text) == {conversation.id}

    conversations.change_conversation(alice, conversation.id, title="Other 其他")

    assert found_by_job(alice, text) == found(alice, text) == set()
    assert found(alice, "其他") == {conversation.id}


def test_the_words_of_a_query_are_looked_for_in_one_message(alice, conversation, model):
    chain(conversation, 1, content="apples and pears")
    other = Conversation.objects.create(owner=alice.user, model="echo", title="pears")
    chain(other, 1, content="apples")

    assert found(alice, "pears apples") == {conversation.id}


@pytest.mark.row("A2")
def test_never_another_persons(alice, charlie, conversation):
    Conversation.objects.filter(pk=conversation.pk).update(title="secret 秘密")
    chain(conversation, 2, content="secret 秘密")
    theirs = Conversation.objects.create(owner=charlie.user, model="echo", title="mine")
    # What another writes cannot stand in for the mark of whose a text is.
    chain(theirs, 1, content=f"§{alice.user.pk.hex} {alice.user.pk.hex} secretary")
    index_waiting(seconds=60)

    for text in ("secret", "秘密", "秘"):
        assert found(charlie, text) <= {theirs.id}
        assert found(alice, text) == {conversation.id}


def test_a_turn_is_found_once_it_has_ended(alice, conversation, script):
    gate = Gate()
    script(TextDelta("violets 紫"), gate, TextDelta("罗兰"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="flowers 花").ref

    assert found(alice, "花") == {conversation.id}
    assert found(alice, "violets") == set()
    gate.open()
    read(ref)

    assert found(alice, "紫罗兰") == {conversation.id}
    script(TextDelta("tulips"), Finished("stop"))
    read(regenerate(alice, ref.message_id).ref)
    assert found(alice, "tulips") == {conversation.id}


def test_a_search_indexes_the_newest_and_leaves_the_rest_to_the_job(
    alice, conversation, model, settings
):
    settings.SEARCH_FRESH_SECONDS = 0
    chain(conversation, 1, content="apples")
    newer = Conversation.objects.create(owner=alice.user, model="echo")
    chain(newer, 1, content="apples")

    assert found(alice, "apples") == {newer.id}
    index_waiting(seconds=60)

    assert found(alice, "apples") == {newer.id, conversation.id}


@pytest.mark.row("F8")
def test_on_a_full_disk_what_was_indexed_is_found(alice, conversation, monkeypatch):
    """F8: reads work."""
    chain(conversation, 1, content="apples")
    index_waiting(seconds=60)
    chain(conversation, 1, content="pears")

    def full(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(services, "insert_rows", full)

    assert found(alice, "apples") == {conversation.id}
    assert found(alice, "pears") == set()


def test_the_job_finds_what_waits_and_then_nothing(alice, conversation, script):
    script(TextDelta("violets"), Finished("stop"))
    read(send_message(alice, conversation.id, content="flowers").ref)
    assert found_by_job(alice, "violets") == set()

    index_for_search()

    assert found_by_job(alice, "violets") == {conversation.id}
    assert not Conversation.objects.due_for_search().exists()
    with CaptureQueriesContext(connection) as context:
        index_for_search()
    assert len(context) == 1


def test_a_title_given_while_the_job_looks_is_found_by_the_next_look(
    alice, conversation, monkeypatch
):
    def after_a_change(*args: Any, **kwargs: Any) -> Any:
        conversations.change_conversation(alice, conversation.id, title="Quinces")
        return update_returning(*args, **kwargs)

    conversations.change_conversation(alice, conversation.id, title="Apricots")
    index_due(limit=10)
    chain(conversation, 2, content="pears")
    with monkeypatch.context() as patch:
        patch.setattr(services, "update_returning", after_a_change)
        index_due(limit=10)
    assert Conversation.objects.due_for_search().exists()

    assert found(alice, "quinces") == {conversation.id}
    assert found(alice, "apricots") == set()


def test_a_job_that_was_killed_is_made_up_for(alice, conversation, monkeypatch):
    chain(conversation, 10, content="apples")
    with monkeypatch.context() as patch:
        patch.setattr(services, "insert_rows", _die)
        with pytest.raises(KeyboardInterrupt):
            index_due(limit=10)
    assert SearchPiece.objects.count() == 0

    index_waiting(seconds=60)

    assert SearchPiece.objects.count() == 10


def _die(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


def test_a_long_conversation_is_indexed_in_steps_each_message_once(alice, conversation, settings):
    settings.SEARCH_INDEX_MESSAGES = 7
    chain(conversation, 40, content="apples")

    assert index_due(limit=10) == 1
    assert 0 < SearchPiece.objects.count() <= 7
    index_waiting(seconds=60)

    assert SearchPiece.objects.count() == 40


def test_what_was_imported_is_found(alice, model):
    file = own(talk(said("1", content="violets 紫罗兰"), title="Flowers"))

    import_file(alice, file)

    [imported] = Conversation.objects.values_list("id", flat=True)
    for text in ("violets", "罗", "flowers"):
        assert found(alice, text) == {imported}


def test_an_edited_message_is_found_by_its_new_words_alone(alice, conversation):
    first, _second = chain(conversation, 2, content="apples")
    index_waiting(seconds=60)
    messages.edit_message(alice, _second.pk, "cherries")

    messages.edit_message(alice, first.pk, "pears 梨")

    assert found_by_job(alice, "apples") == set()
    assert found_by_job(alice, "梨") == {conversation.id}


def test_what_is_deleted_is_gone_from_the_index_at_once(alice, conversation):
    """Also its words: the index holds what people said."""
    first, second = chain(conversation, 2, content="apples")
    messages.edit_message(alice, first.pk, "pears")
    index_waiting(seconds=60)

    messages.delete_message(alice, second.pk)

    assert found_by_job(alice, "apples") == set()
    assert found_by_job(alice, "pears") == {conversation.id}
    conversations.delete_conversation(alice, conversation.pk)
    assert SearchPiece.objects.count() == 0


def test_a_text_that_is_gone_is_not_found_though_its_piece_is_there(alice, conversation):
    (only,) = chain(conversation, 1, content="apples")
    index_waiting(seconds=60)

    Message.objects.filter(pk=only.pk).erase()

    assert SearchPiece.objects.exists()
    assert found(alice, "apples") == set()


def test_a_person_who_leaves_takes_their_words_along(alice, conversation):
    chain(conversation, 2, content="apples")
    index_waiting(seconds=60)

    with write_transaction():
        conversations.delete_conversations_of(alice.user)

    assert SearchPiece.objects.count() == 0


def test_the_index_is_rebuilt_from_the_transcripts(alice, conversation, capsys):
    Conversation.objects.filter(pk=conversation.pk).update(title="Plans")
    chain(conversation, 300, content="apples")
    index_waiting(seconds=60)
    SearchPiece.objects.filter(message=None).delete()
    SearchPiece.objects.create(conversation_id=alice.user.pk, words=["left", "over"])
    assert found_by_job(alice, "plans") == set()

    assert rebuild() == 1

    assert found_by_job(alice, "plans") == found_by_job(alice, "apples") == {conversation.id}
    assert SearchPiece.objects.count() == 301
    call_command("search", "status")
    told = capsys.readouterr().out.split()
    assert told == [
        "conversations",
        "1",
        "waiting",
        "0",
        "pieces",
        "301",
    ]
    call_command("search", "rebuild", "--format", "json")
    assert '"conversations": 1' in capsys.readouterr().out


def test_what_waits_is_looked_for_by_its_index(alice, conversation):
    with write_transaction():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # so few rows are read whole otherwise
                cursor.execute("SET LOCAL enable_seqscan = off")
        plan = Conversation.objects.due_for_search().explain()

    assert "due_for_search" in plan


def test_every_planted_phrase_is_found_in_both_languages(alice, charlie, model):
    """Each in its conversation, and never another person's."""
    planted = corpus([alice.user, charlie.user], messages=2_000, phrases=40, seed=7)
    index_waiting(seconds=120)

    for phrase in planted:
        own, other = (alice, charlie) if phrase.owner == alice.user else (charlie, alice)
        assert phrase.conversation in found(own, phrase.text), phrase.text
        assert found(other, phrase.text).isdisjoint(found(own, phrase.text))
        assert phrase.conversation in found(own, f'"{phrase.text}"'), phrase.text
