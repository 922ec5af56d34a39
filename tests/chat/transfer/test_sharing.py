"""Public links (A9): a snapshot, for as long as its owner wants it."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from accounts.services import people
from accounts.signals import user_erasing
from chat.models import Conversation, Message, Share
from chat.services.conversations import delete_conversation
from chat.services.exports import as_markdown
from chat.services.messages import delete_message, edit_message
from chat.services.sharing import share_conversation
from common.db import write_transaction
from common.restoring import left_out_tables
from tests.chat.api.rest import Rest
from tests.chat.rows import chain
from tests.chat.serving import token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def talk(conversation):
    Conversation.objects.filter(pk=conversation.pk).update(
        title="Plans", system_prompt="a secret instruction"
    )
    return conversation


def page(url: str, **headers: str):
    """The page as anybody gets it who has the link."""
    return Client().get("/" + url.split("/", 3)[3], headers=headers)


def test_a_link_shows_the_active_branch_and_nothing_else_of_its_owner(rest, talk, alice):
    question, answer = chain(talk, 2)
    Message.objects.filter(pk=answer.pk).update(
        model="echo",
        prompt_tokens=4_711,
        completion_tokens=1,
        cost=5,
        comment="private comment",
        reasoning="a private thought",
    )
    sibling = Message.objects.create(
        conversation=talk, parent=question, role="assistant", content="a sibling", position=3
    )
    last = Message.objects.create(
        conversation=talk, parent=answer, role="user", content="the last", position=4
    )

    sent = rest("post", f"conversations/{talk.id}/share")

    assert sent.status_code == 201
    assert set(sent.json()) == {"url"}
    shown = page(sent.json()["url"])
    text = shown.content.decode()
    assert shown.status_code == 200
    for said in ("Plans", "word 0", "word 1", "the last", "echo"):
        assert said in text
    hidden = ("secret instruction", "sibling", "4711", "4,711", "private", "alice", "a@x.example")
    assert [each for each in hidden if each in text] == []
    ids = (talk, question, answer, sibling, last, alice.user)
    assert not any(str(each.pk) in text for each in ids)


def test_of_other_branches_nothing_is_read(rest, talk, monkeypatch):
    """R8: an import may bring 200,000 messages that are not on the branch that is shown."""
    chain(talk, 30)
    (last,) = chain(talk, 1, content="alone")
    read: list[str] = []
    from_db = Message.from_db.__func__

    def watched(model, *row):
        found = from_db(model, *row)
        read.append(found.content)
        return found

    monkeypatch.setattr(Message, "from_db", classmethod(watched))

    page(rest("post", f"conversations/{talk.id}/share").json()["url"])

    assert read == [last.content]


def test_an_old_title_turns_nothing_on_the_page(rest, talk):
    """Titles that were stored before they were looked at."""
    chain(talk, 1)
    Conversation.objects.update(title="invoice\u202efdp.exe")

    shown = page(rest("post", f"conversations/{talk.id}/share").json()["url"])

    assert "invoicefdp.exe" in shown.content.decode()
    assert b"".join(as_markdown(Conversation.objects.get())).startswith(b"# invoicefdp.exe\n")


def test_the_page_is_plain_and_kept_by_nobody(rest, talk):
    chain(talk, 1)

    shown = page(rest("post", f"conversations/{talk.id}/share").json()["url"])

    text = shown.content.decode()
    assert not re.search(r"<script|<iframe|<form|<img|\son\w+=|\sstyle=|javascript:", text)
    assert '<meta name="robots" content="noindex, nofollow">' in text
    assert shown["X-Robots-Tag"] == "noindex, nofollow"
    assert shown["Cache-Control"] == "no-store"
    assert shown["Referrer-Policy"] == "same-origin"
    policy = shown["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not shown.cookies


def test_what_was_said_is_text_on_the_page(rest, talk):
    """X1, X2, X7"""
    evil = "<script>alert(1)</script> ![x](https://evil.example/?q=1) [y](javascript:alert(1))"
    chain(talk, 1, content=evil)
    Conversation.objects.filter(pk=talk.pk).update(title="</title><script>alert(2)</script>")
    Message.objects.update(model="<b>m</b>", role="assistant")

    text = page(rest("post", f"conversations/{talk.id}/share").json()["url"]).content.decode()

    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "&lt;/title&gt;&lt;script&gt;alert(2)" in text
    assert "&lt;b&gt;m" in text
    assert "<img" not in text
    assert 'href="javascript' not in text


def test_it_stays_as_it_was_when_it_was_shared(rest, talk, alice):
    first, second = chain(talk, 2)
    url = rest("post", f"conversations/{talk.id}/share").json()["url"]

    edit_message(alice, first.pk, "edited since")
    delete_message(alice, second.pk)
    Conversation.objects.filter(pk=talk.pk).update(title="Renamed")

    text = page(url).content.decode()
    assert "word 0" in text
    assert "word 1" in text
    assert "Plans" in text
    assert "edited since" not in text


@pytest.mark.row("K1")
def test_its_token_is_long_and_in_no_row(rest, talk):
    """A9"""
    chain(talk, 1)
    urls = {rest("post", f"conversations/{talk.id}/share").json()["url"] for _ in range(3)}

    tokens = [url.rpartition("/")[2] for url in urls]
    assert len(urls) == 3
    assert all(len(token) >= 22 for token in tokens)  # 128 bits
    row = json.dumps(list(Share.objects.values()), default=str)
    assert not any(token in row for token in tokens)


def test_sharing_anew_ends_the_link_before(rest, talk):
    chain(talk, 1)
    old = rest("post", f"conversations/{talk.id}/share").json()["url"]
    chain(talk, 1, content="later")
    new = rest("post", f"conversations/{talk.id}/share").json()["url"]

    assert page(old).status_code == 404
    assert b"later" in page(new).content
    assert Share.objects.count() == 1


def revoke(rest, alice, talk):
    assert rest("delete", f"conversations/{talk.id}/share").status_code == 204
    assert rest("delete", f"conversations/{talk.id}/share").status_code == 204  # again


def delete(rest, alice, talk):
    delete_conversation(alice, talk.id)


def suspend(rest, alice, talk):
    people.suspend(alice.user, actor=None)


def erase(rest, alice, talk):
    with write_transaction():
        user_erasing.send(sender=type(alice.user), user=alice.user)
        alice.user.delete()


@pytest.mark.parametrize("act", [revoke, delete, suspend, erase])
def test_a_link_dies_with(rest, alice, talk, act):
    chain(talk, 1)
    url = rest("post", f"conversations/{talk.id}/share").json()["url"]
    assert page(url).status_code == 200

    act(rest, alice, talk)

    dead, unknown = page(url), page("https://x/share/" + "A" * 22)
    assert (dead.status_code, unknown.status_code) == (404, 404)
    assert dead.content == unknown.content
    assert b"Nothing is shared here" in dead.content


@pytest.mark.row("F19")
def test_no_backup_holds_a_link():
    """F19: one that was revoked since would lead somewhere again."""
    assert Share._meta.db_table in left_out_tables()  # noqa: SLF001 documented


def test_ones_links_are_listed_without_their_addresses(rest, talk, charlie, stranger):
    chain(talk, 1)
    theirs = Conversation.objects.create(owner=charlie.user, title="Charlie's")
    chain(theirs, 1)
    share_conversation(charlie, theirs.id)
    url = rest("post", f"conversations/{talk.id}/share").json()["url"]

    listed = rest("get", "shares").json()

    (row,) = listed["results"]
    assert set(row) == {"id", "conversation_id", "title", "created_at"}
    assert (row["conversation_id"], row["title"]) == (str(talk.id), "Plans")
    assert url.rpartition("/")[2] not in json.dumps(listed)


def test_another_person_can_neither_share_nor_revoke(rest, talk, charlie):
    chain(talk, 1)
    url = rest("post", f"conversations/{talk.id}/share").json()["url"]
    other = Rest(token_of(charlie.user))

    for method in ("post", "delete"):
        assert other(method, f"conversations/{talk.id}/share").status_code == 404
    assert page(url).status_code == 200


def test_there_has_to_be_something_to_share_and_not_too_much(rest, talk, settings):
    empty = rest("post", f"conversations/{talk.id}/share")
    chain(talk, 2, content="x" * 100)
    settings.SHARE_CHARACTERS = 150
    long = rest("post", f"conversations/{talk.id}/share")

    for answer in (empty, long):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert not Share.objects.exists()


def test_what_is_being_written_is_not_shared(rest, talk):
    _question, answer = chain(talk, 2)
    Message.objects.filter(pk=answer.pk).update(status="streaming", content="half a sen")

    text = page(rest("post", f"conversations/{talk.id}/share").json()["url"]).content

    assert b"word 0" in text
    assert b"half a sen" not in text


@pytest.mark.parametrize("token", ["x", "A" * 5_000, "%00", "..%2F..", "你好", "' OR 1=1"])
def test_a_strange_token_leads_nowhere(token):
    assert Client().get(f"/share/{token}").status_code in {400, 404}


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_page_is_only_read(rest, talk, method):
    chain(talk, 1)
    url = rest("post", f"conversations/{talk.id}/share").json()["url"]

    answer = getattr(Client(), method)("/" + url.split("/", 3)[3])

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
