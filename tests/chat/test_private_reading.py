"""M4: another's conversation opens to those with the right, for a reason, and leaves a trace."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from accounts.services import registration
from chat.models import Conversation, Message
from chat.services import private_reading
from common.errors import PermissionDenied

pytestmark = pytest.mark.django_db

REASON = "Mina asked support to look at a lost answer."
WORDS = ("canary-title", "canary-prompt", "<b>canary</b>-question", "canary-answer")


@pytest.fixture
def root(db):
    return registration.create_person(
        username="root", email="root@example.org", password="correct horse", roles=["admin"]
    )


@pytest.fixture
def mina(db):
    return registration.create_person(
        username="mina", email="mina@example.org", password="correct horse", roles=["member"]
    )


@pytest.fixture
def talk(mina):
    made = Conversation.objects.create(
        owner=mina, title="canary-title", system_prompt="canary-prompt"
    )
    for position, (role, text) in enumerate(
        [("user", "<b>canary</b>-question"), ("assistant", "canary-answer")], 1
    ):
        Message.objects.create(conversation=made, position=position, role=role, content=text)
    return made


@pytest.fixture
def desk(root):
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def allowed(root):
    """The right, given as an administrator gives it: to a role."""
    role = Group.objects.create(name="auditors")
    role.permissions.add(Permission.objects.get(codename="read_others"))
    root.groups.add(role)


def there(talk):
    return reverse("admin:chat_conversation_read", args=[talk.pk])


def read(desk, talk, **fields):
    answer = desk.post(there(talk), {"answered": "yes", "reason": REASON} | fields)
    return answer, answer.content.decode()


def traces():
    return AuditEntry.objects.filter(action="conversation.read")


class TestWithoutTheRight:
    def test_not_even_an_administrator_reads(self, desk, talk):
        assert desk.get(there(talk)).status_code == 403
        answer, html = read(desk, talk)

        assert answer.status_code == 403
        assert "canary" not in html
        assert not traces().exists()

    def test_the_service_refuses_whoever_calls_it(self, root, talk):
        with pytest.raises(PermissionDenied):
            private_reading.read(talk.pk, actor=root, reason=REASON)

        assert not traces().exists()

    def test_no_page_offers_it(self, desk, talk):
        html = desk.get(reverse("admin:chat_conversation_change", args=[talk.pk])).content.decode()

        assert there(talk) not in html
        assert "canary" not in html

    def test_nobody_has_it_by_default(self, root, mina):
        assert not private_reading.may_read(root)
        assert not private_reading.may_read(mina)

    def test_a_suspended_person_has_lost_it(self, root, allowed):
        assert private_reading.may_read(root)
        root.is_active = False
        assert not private_reading.may_read(root)


@pytest.mark.row("M7")
@pytest.mark.usefixtures("allowed")
class TestWithTheRight:
    def test_it_is_offered_and_asks_for_a_reason_first(self, desk, talk):
        offered = desk.get(reverse("admin:chat_conversation_change", args=[talk.pk]))
        asking = desk.get(there(talk)).content.decode()

        assert there(talk) in offered.content.decode()
        assert "canary" not in asking
        assert not traces().exists()

    @pytest.mark.parametrize(
        "reason",
        ["", "   ", "because", "x" * 501, "         \n        x", "\u200b" * 20, "\u3164" * 20],
    )
    def test_a_poor_reason_opens_nothing(self, desk, talk, reason):
        answer, html = read(desk, talk, reason=reason)

        assert answer.status_code == 200
        assert "canary" not in html
        assert not traces().exists()

    @pytest.mark.row("M7")
    def test_a_reason_opens_it_and_stays_in_the_trail(self, desk, root, mina, talk):
        """M3"""
        answer, html = read(desk, talk)

        entry = traces().get()
        assert answer.status_code == 200
        assert all(word.replace("<", "&lt;").replace(">", "&gt;") in html for word in WORDS)
        assert "<b>canary</b>" not in html
        assert (entry.actor_id, entry.target_id) == (root.pk, str(talk.pk))
        assert entry.after == {"reason": REASON, "owner": str(mina.pk), "before": None}
        assert "canary" not in f"{entry.before} {entry.target_label}"

    def test_each_reading_needs_it_anew(self, desk, talk):
        read(desk, talk)

        again = desk.get(there(talk)).content.decode()

        assert "canary" not in again
        assert read(desk, talk, reason="")[1].count("canary") == 0
        assert traces().count() == 1

    def test_a_long_one_is_read_in_parts_each_with_a_trace(self, desk, talk, monkeypatch):
        monkeypatch.setattr(private_reading, "_MESSAGES_AT_ONCE", 1)

        newest = read(desk, talk)[1]
        first = read(desk, talk, before=2)[1]

        assert "canary-answer" in newest
        assert "-question" not in newest
        assert 'name="before" value="2"' in newest
        assert "-question" in first
        assert "canary-answer" not in first
        assert [entry.after["before"] for entry in traces().order_by("id")] == [None, 2]

    @pytest.mark.parametrize("before", ["0", "-1", "x", "9" * 19, "9" * 30])
    def test_a_place_that_cannot_be_shows_nothing(self, desk, talk, before):
        """I7: a number that no database holds is no 500."""
        answer, html = read(desk, talk, before=before)

        assert answer.status_code == 200
        assert "canary" not in html

    def test_one_that_is_gone_or_never_was(self, desk, talk):
        gone = there(talk)
        never = gone.replace(str(talk.pk), "x")
        talk.delete()

        assert desk.get(gone).status_code == 404
        assert desk.get(never).status_code == 404
