"""Conversations, turns and the ledger in the admin: who, when, how much; never what was said."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from accounts.services import registration
from chat.models import Conversation, IdempotencyRecord, Message, Share, Turn
from chat.services.sharing import share_conversation
from chat.services.turn_requests import chat_once, send_message
from chat.turns.runner import runner
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, read, turn_row
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = ("canary-title", "canary-prompt", "canary-question", "canary-answer", "canary-key")
TABLES: dict[str, Any] = {
    "chat_conversation": Conversation,
    "chat_message": Message,
    "chat_turn": Turn,
    "chat_share": Share,
    "chat_idempotencyrecord": IdempotencyRecord,
    "quotas_hold": Hold,
    "quotas_usagerecord": UsageRecord,
}


@pytest.fixture
def root(transactional_db) -> User:
    return registration.create_person(
        username="root", email="root@example.org", password="correct horse", roles=["admin"]
    )


@pytest.fixture
def desk(root) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def talked(alice, conversation, script):
    """A conversation full of words that nobody else may read."""
    script(TextDelta("canary-answer"), Finished("stop"))
    script(TextDelta("canary-answer"), Finished("stop"))
    Conversation.objects.filter(pk=conversation.pk).update(
        title="canary-title", system_prompt="canary-prompt"
    )
    read(send_message(alice, conversation.id, content="canary-question").ref)
    messages = [{"role": "user", "content": "canary-question"}]
    once = chat_once(alice, messages=messages, model="echo", idempotency_key="canary-key")
    read(once.ref)
    until(lambda: IdempotencyRecord.objects.exclude(answer=None).exists(), "the answer was kept")
    share_conversation(alice, conversation.pk)
    return conversation


def pages() -> list[str]:
    """Every list and every page of a row."""
    found = []
    for table, model in TABLES.items():
        found.append(reverse(f"admin:{table}_changelist"))
        rows = model.objects.all()
        found += [reverse(f"admin:{table}_change", args=[row.pk]) for row in rows]
    return found


@pytest.mark.row("M2")
def test_no_page_shows_what_was_said_and_none_counts_its_table(desk, talked):
    """M3, M4."""
    for page in pages():
        with CaptureQueriesContext(connection) as queries:
            answer = desk.get(page)

        html = answer.content.decode()
        assert answer.status_code == 200, page
        for secret in SECRETS:
            assert secret not in html, page
        assert len(queries) <= 20
        counted = [each["sql"] for each in queries if "COUNT(*)" in each["sql"]]
        assert not [sql for sql in counted if 'FROM "chat_' in sql or 'FROM "quotas_' in sql]


def test_nothing_is_added_changed_or_deleted_by_hand(desk, talked):
    for page in pages():
        for tail in ("add/", "delete/"):
            assert desk.get(page.replace("change/", "") + tail).status_code in {302, 403, 404}
        assert desk.post(page, {"status": "x", "tokens": 0}).status_code in {200, 302, 403}
    assert Message.objects.count() == 2
    assert {record.outcome for record in UsageRecord.objects.all()} == {"complete"}


def test_rows_are_found_by_id_and_by_owner(desk, talked, charlie):
    other = Conversation.objects.create(owner=charlie.user)

    def found(query: str) -> bool:
        page = reverse("admin:chat_conversation_changelist")
        html = desk.get(page, {"q": query}).content.decode()
        assert str(other.pk) not in html
        return str(talked.pk) in html

    assert found(str(talked.pk))
    assert found("alice")
    assert not found("nobody")
    assert not found("%_'\"")
    turn = Turn.objects.filter(conversation=talked).get()
    page = reverse("admin:chat_turn_changelist")
    assert str(turn.pk) in desk.get(page, {"q": str(talked.pk)}).content.decode()


@pytest.mark.row("M6")
def test_a_turn_is_stopped_through_the_service(desk, alice, conversation, script):
    gate = Gate()
    script(TextDelta("a"), gate, Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    data = {"action": "stop", "_selected_action": [str(started.ref.turn_id)]}

    answer = desk.post(reverse("admin:chat_turn_changelist"), data, follow=True)

    assert "1 turn was asked to stop." in answer.content.decode()
    until(lambda: turn_row(started.ref).status == Turn.Status.STOPPED, "the turn was stopped")
    assert Hold.objects.get().status == Hold.Status.SETTLED


@pytest.mark.row("M6", "A8")
def test_many_people_are_deleted_under_their_running_turns(desk, alice, charlie, script, model):
    """Gone with what they said; the holds are settled, nothing comes back, nothing failed."""
    gates = [Gate(), Gate()]
    for caller, gate in zip((alice, charlie), gates, strict=True):
        script(*[TextDelta("token ")] * 20, gate, TextDelta("late"), Finished("stop"))
        talk = Conversation.objects.create(owner=caller.user, model=model.name)
        send_message(caller, talk.id, content="Hi")
        until(partial(getattr, gate, "reached"), "twenty tokens are there")
    chosen = [str(caller.user.pk) for caller in (alice, charlie)]
    data = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}

    answer = desk.post(reverse("admin:accounts_user_changelist"), data, follow=True)

    assert answer.status_code == 200
    for gate in gates:
        gate.open()
    until(lambda: not runner.turns, "their owners let go")
    assert set(User.objects.values_list("username", flat=True)) == {"root"}
    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    assert [hold.status for hold in Hold.objects.all()] == [Hold.Status.SETTLED] * 2
    assert [record.outcome for record in UsageRecord.objects.all()] == ["stopped"] * 2


def test_who_is_no_operator_sees_nothing(talked, alice):
    client = Client()
    client.force_login(alice.user)

    for page in pages():
        assert client.get(page).status_code in {302, 403}


def test_a_share_is_revoked(desk, talked):
    share = Share.objects.get()
    data = {"action": "revoke", "_selected_action": [str(share.pk)]}

    answer = desk.post(reverse("admin:chat_share_changelist"), data, follow=True)

    assert answer.status_code == 200
    assert not Share.objects.exists()
