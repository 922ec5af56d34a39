"""`POST conversations/import`: the door, and what holds when things go wrong behind it."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chat.models import Conversation, Message
from chat.services import importing
from chat.services.importing import import_file
from chat.services.messages import branch
from chat.services.turn_requests import send_message
from common.errors import NotFound, RateLimited, Unavailable
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import make_model, read
from tests.chat.threads import all_at_once
from tests.chat.transfer.files import own, said, talk

pytestmark = pytest.mark.django_db(transaction=True)

_PATH = "conversations/import"


def test_the_answer_tells_what_came_of_it(rest, charlie):
    file = own(talk(said("1"), said("2", parent_id="1"), said("2")), talk(id="empty", title="E"))

    sent = rest("post", _PATH, file)

    assert sent.status_code == 201
    told = sent.json()
    found = {each.title: each for each in Conversation.objects.all()}
    assert told == {
        "added": 2,
        "already_there": 0,
        "messages": 2,
        "left_out": 1,
        "conversations": [
            {"id": str(found["Talk"].id), "title": "Talk", "added": True},
            {"id": str(found["E"].id), "title": "E", "added": True},
        ],
    }
    assert rest("post", _PATH, file).json()["already_there"] == 2
    assert found["Talk"].message_count == 2


@pytest.mark.row("I1")
def test_a_file_of_more_than_a_request_may_have_elsewhere_is_taken(rest):
    """I1: 50 MiB here, 1 MiB elsewhere."""
    file = own(talk(*[said(str(n), "x" * 100_000) for n in range(30)]))

    assert len(file) > 2 << 20
    assert rest("post", _PATH, file).json()["messages"] == 30


def test_what_is_no_file_is_invalid(rest):
    for body in (b"[]", b"{}", b"5", b"nonsense"):
        sent = rest("post", _PATH, body)
        assert (sent.status_code, sent.json()["code"]) == (400, "invalid")


def test_an_imported_conversation_goes_on(take, alice, script):
    make_model("echo")
    found = take(own(talk(said("1", "Hi"), said("2", "Hello", role="assistant", parent_id="1"))))
    script(TextDelta("Fine"), Finished("stop"))

    read(send_message(alice, found.outcomes[0].id, content="How are you?", model="echo").ref)

    page = branch(alice, found.outcomes[0].id, limit=10)
    assert [each["content"] for each in page.messages] == ["Hi", "Hello", "How are you?", "Fine"]
    ((_route, request),) = script.requests
    assert [each["content"] for each in request.messages] == ["Hi", "Hello", "How are you?"]


def test_search_finds_what_was_imported(take, rest):
    take(own(talk(said("1", "about marmalade"), title="Jam")))
    take(own(talk(said("1", "关于果酱"), id="other")))

    for words in ("marmalade", "jam", "果酱"):
        assert len(rest("get", f"conversations?q={words}").json()["results"]) == 1


def test_no_model_is_asked_for_the_titles_of_what_was_imported(take):
    take(own(talk(said("1"), said("2", role="assistant", parent_id="1"), title="")))

    found = Conversation.objects.get()
    assert (found.title_source, found.titled_position) == ("none", found.last_position)


def test_a_title_of_nothing_that_is_seen_is_none(take):
    take(own(talk(id="a", title="\u202e\u3164"), talk(id="b", title="a\u202eb\nc")))

    found = dict(Conversation.objects.values_list("title", "title_source"))
    assert found == {"": "none", "ab c": "user"}


@pytest.mark.parametrize("unseen", ["\u200d", "\u0301"])
def test_a_title_of_which_the_cut_leaves_nothing_that_is_seen_is_none(take, unseen):
    take(own(talk(id="a", title=unseen * 250 + "a")))

    found = Conversation.objects.get()
    assert (found.title, found.title_source) == ("", "none")


def test_a_model_of_the_same_name_is_kept(take):
    make_model("echo")
    make_model("closed", everyone=False)

    take(own(talk(id="a", model="echo"), talk(id="b", model="closed"), talk(id="c", model="gone")))

    assert sorted(Conversation.objects.values_list("model", flat=True)) == ["", "", "echo"]


def test_the_same_file_at_once_adds_each_conversation_once(alice, settings):
    """Exactly once: the constraint decides, not the look before it."""
    settings.IMPORTS_AT_ONCE = 8
    file = own(*[talk(said("1"), id=f"t{n}") for n in range(5)])

    outcomes = all_at_once([lambda: import_file(alice, file).as_fields()] * 6)

    assert sum(each["added"] for each in outcomes) == 5
    assert sum(each["already_there"] for each in outcomes) == 25
    assert (Conversation.objects.count(), Message.objects.count()) == (5, 5)


def test_the_database_itself_takes_no_second_one(take, alice, monkeypatch):
    take(own(talk(said("1"))))
    looks = iter([None])  # somebody else was quicker, just after the look
    look = importing._there  # noqa: SLF001
    monkeypatch.setattr(
        importing, "_there", lambda *given: next(looks) if looks.__length_hint__() else look(*given)
    )

    found = take(own(talk(said("1"))))

    assert not found.outcomes[0].added
    assert Conversation.objects.count() == 1


def test_a_conversation_is_stored_whole_or_not_at_all(take, monkeypatch):
    def breaks(*_given):
        raise RuntimeError

    monkeypatch.setattr(importing, "insert_rows", breaks)

    with pytest.raises(RuntimeError):
        take(own(talk(said("1"))))

    assert not Conversation.objects.exists()


@pytest.mark.row("G4")
def test_somebody_who_is_erased_meanwhile_leaves_nothing(take, alice, monkeypatch):
    User.objects.filter(pk=alice.user.pk).delete()

    with pytest.raises(NotFound):
        take(own(talk(said("1"))))

    assert not Conversation.objects.exists()


def test_only_so_many_are_read_at_once(take, settings):
    """R5: each takes a processor."""
    settings.IMPORTS_AT_ONCE, settings.IMPORT_WAIT_SECONDS = 1, 0
    importing._slots.cache_clear()  # noqa: SLF001

    with importing._slot(), pytest.raises(RateLimited) as refusal:  # noqa: SLF001
        take(own(talk(said("1"))))

    assert "Retry-After" in refusal.value.headers()
    importing._slots.cache_clear()  # noqa: SLF001


@pytest.mark.row("F8")
def test_nothing_is_taken_while_the_disk_is_almost_full(take, monkeypatch):
    """F8"""
    monkeypatch.setattr(
        os, "statvfs", lambda _path: SimpleNamespace(f_bavail=199, f_frsize=1 << 20)
    )

    with pytest.raises(Unavailable, match="disk"):
        take(own(talk(said("1"))))


def test_a_thousand_messages_take_few_statements(take):
    file = own(talk(*[said(str(n)) for n in range(1_000)]))

    with CaptureQueriesContext(
        connection,
    ) as asked:
        take(file)

    assert len(asked) < 30
