"""The addresses of admin lists: they ask what the page's filters offer, and nothing else."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib import admin

from tests.accounts.conftest import page

pytestmark = pytest.mark.django_db

LISTS = [
    f"{model._meta.app_label}_{model._meta.model_name}_changelist"  # noqa: SLF001
    for model, shown in admin.site._registry.items()  # noqa: SLF001
    if type(shown).__module__.split(".")[0] in {"accounts", "chat", "models_registry", "quotas"}
]


@pytest.mark.row("M2")
@pytest.mark.parametrize(
    "asked",
    [
        "accounts_user_changelist?password__startswith=argon2",
        "accounts_user_changelist?username__regex=^(a%2B)%2B$",
        "models_registry_connection_changelist?sealed_api_key__startswith=a",
        "chat_message_changelist?content__contains=secret",
        "chat_conversation_changelist?system_prompt__startswith=a",
        "chat_message_changelist?role__regex=a",
    ],
)
def test_no_column_can_be_asked_that_no_filter_offers(desk, asked):
    """R4: a hash or a key is not to be guessed by its beginning."""
    name, _mark, query = asked.partition("?")

    assert desk.get(f"{page(name)}?{query}").status_code == 400


@pytest.mark.parametrize("name", LISTS)
def test_every_filter_that_a_list_offers_works(desk, name):
    shown = desk.get(page(name))

    assert shown.status_code == 200
    for link in set(re.findall(r'href="(\?[^"]+=[^"]*)"', shown.content.decode())):
        assert desk.get(page(name) + html.unescape(link)).status_code == 200, link
