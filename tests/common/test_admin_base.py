"""What the admin's pages of forms stand on."""

from __future__ import annotations

import pytest
from django.contrib.admin import helpers
from django.db import connection
from django.test import Client

from accounts.admin.people import UserAdmin
from accounts.services import registration

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def root():
    return registration.create_person(
        username="root", email="root@x.example", password="long enough", roles=["admin"]
    )


@pytest.fixture
def desk(root):
    client = Client()
    client.force_login(root)
    return client


def test_the_first_form_after_a_start_is_the_skins(desk, root, monkeypatch):
    """The skin puts its own classes in the place of Django's when a page of it is first opened."""
    monkeypatch.setattr(helpers, "AdminForm", None)

    shown = desk.get(f"/admin/accounts/user/{root.pk}/change/")

    assert type(shown.context["adminform"]).__module__.startswith("unfold.")


def test_services_are_called_outside_a_transaction(desk, root, monkeypatch):
    """They hash passwords and resolve names before they begin one of their own."""
    nested = []

    def watch(self, request, obj, form, change):
        nested.append(connection.in_atomic_block)

    monkeypatch.setattr(UserAdmin, "save_model", watch)

    saved = desk.post(
        f"/admin/accounts/user/{root.pk}/change/",
        {"email": root.email, "roles": ["admin"], "password": "", "display_name": ""},
    )

    assert saved.status_code == 302
    assert nested == [False]
