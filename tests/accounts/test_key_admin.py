"""API keys in the admin: looked at, revoked, never read."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEntry
from accounts.services import api_keys
from tests.accounts.conftest import page

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(mina):
    return api_keys.create(mina, name="A program", models=["gpt-4o"], actor=mina)


def revoke(client, *keys):
    chosen = [str(key.row.pk) for key in keys]
    data = {"action": "revoke", "_selected_action": chosen}
    return client.post(page("accounts_apikey_changelist"), data, follow=True).content.decode()


@pytest.mark.row("M2", "K1")
def test_neither_key_nor_digest_is_shown(desk, key):
    for shown in (
        desk.get(page("accounts_apikey_changelist")),
        desk.get(page("accounts_apikey_change", key.row.pk)),
        desk.get(page("accounts_apikey_changelist"), {"q": key.row.prefix}),
    ):
        html = shown.content.decode()
        assert key.row.prefix in html
        assert "A program" in html
        assert key.text[12:] not in html
        assert key.row.digest not in html
    for asked in ("digest", "digest__startswith"):
        answer = desk.get(page("accounts_apikey_changelist"), {asked: key.row.digest[:4]})
        assert answer.status_code in {302, 400}


def test_nothing_can_be_edited_added_or_deleted(desk, key):
    there = page("accounts_apikey_change", key.row.pk)

    assert desk.post(there, {"name": "x", "scopes": '["support"]'}).status_code == 403
    assert desk.get(page("accounts_apikey_add")).status_code == 403
    gone = desk.post(page("accounts_apikey_delete", key.row.pk), {"post": "yes"})
    assert gone.status_code == 403
    key.row.refresh_from_db()
    assert key.row.name == "A program"


@pytest.mark.row("M5")
def test_it_is_revoked_from_its_list_and_on_record(desk, root, key):
    assert "1 API key done" in revoke(desk, key)

    assert not api_keys.find(key.text).is_live(key.row.created_at)
    entry = AuditEntry.objects.get(action="api_key.revoked")
    assert (entry.actor_id, entry.target_id) == (root.pk, str(key.row.pk))


def test_who_may_only_look_revokes_nothing(person, key):
    viewer = person("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client = Client()
    client.force_login(viewer)

    revoke(client, key)

    key.row.refresh_from_db()
    assert key.row.revoked_at is None


@pytest.mark.row("M5")
def test_an_administrators_key_is_not_for_those_below_to_end(person, root):
    key = api_keys.create(root, name="x", actor=root)
    helper = person("helper", is_staff=True)
    helper.user_permissions.add(
        *Permission.objects.filter(codename__in=["view_apikey", "change_user"])
    )
    client = Client()
    client.force_login(helper)

    revoke(client, key)

    key.row.refresh_from_db()
    assert key.row.revoked_at is None
