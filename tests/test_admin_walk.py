"""Every page of the admin: for whom it opens, what it costs, and that it says what things mean."""

from __future__ import annotations

import html
import re
from collections import Counter
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from accounts.models import MailLink, Role, User
from accounts.services import api_keys, registration, sign_ins
from config.admin_site import SECTIONS
from models_registry.models import Connection
from models_registry.services.connections import create_connection
from models_registry.services.models import ensure_offline_model
from tests import admin_pages
from tests.filling import fill

pytestmark = pytest.mark.django_db

MOST_QUERIES = 20


@pytest.fixture
def enter(db):
    """`enter("supervisor")`: a browser in which somebody of that role has signed in."""
    ensure_offline_model()

    def make(role: str, **fields) -> Client:
        person = registration.create_person(
            username=f"the-{role}", email=f"{role}@x.example", password="long enough", roles=[role]
        )
        type(person).objects.filter(pk=person.pk).update(**fields)
        client = Client()
        client.force_login(person)
        return client

    return make


@pytest.fixture
def root(enter) -> Client:
    client: Client = enter(Role.ADMIN)
    return client


def costs(client: Client, pages: list[str]) -> dict[str, int]:
    """How many queries each page asks; a page that does not open is told with its status."""
    asked = {}
    for page in pages:
        with CaptureQueriesContext(database) as queries:
            answer = client.get(page)
        assert answer.status_code in {200, 403}, (page, answer.status_code)
        asked[page] = len(queries)
    return asked


def way_to(answer) -> str:
    """What the head of a page says, without its marks."""
    head = re.search(r"<h1.*?</h1>", answer.content.decode(), re.DOTALL)[0]
    words = (each.strip() for each in re.split(r"<[^>]*>", head))
    return html.unescape("|".join(each for each in words if each not in {"", "chevron_right"}))


def test_every_page_opens_for_an_administrator(root):
    """M3: at most 20 queries each."""
    fill(people=4, conversations=3, messages=4, models=3)

    asked = costs(root, admin_pages.everything(root))

    assert len(asked) > 100
    assert {page: count for page, count in asked.items() if count > MOST_QUERIES} == {}


def test_more_rows_cost_no_more_queries(root):
    """M3"""
    fill(people=3, conversations=2, messages=2, models=3)
    few = costs(root, list(admin_pages.lists()))

    fill(people=60, conversations=40, messages=6, models=30, name="olga")

    many = costs(root, list(admin_pages.lists()))
    assert {page: (few[page], many[page]) for page in many if many[page] > few[page]} == {}


@pytest.mark.row("M2")
def test_no_page_holds_what_is_secret(root):
    """Keys of providers and of people, passwords, sessions, links: as typed and as kept."""
    fill(people=2, conversations=1, messages=2, models=1)
    person = User.objects.get(username="the-admin")
    typed = "sk-canary-Zx81kQpW0vLr7TnY"
    made = create_connection(
        None,
        scope="system",
        provider="openai_compatible",
        name="canary",
        base_url="https://8.8.8.8/v1",
        api_key=typed,
    )
    key = api_keys.create(person, name="canary", scopes=["read"], actor=person)
    device = sign_ins.open_for(person)
    link = MailLink.objects.create(
        user=person,
        purpose=MailLink.Purpose.RESET,
        digest="canary-digest-0123456789",
        address=person.email,
        expires_at=timezone.now() + timedelta(hours=1),
    )
    secrets = [typed, made.sealed_api_key, key.text, key.row.digest, person.password]
    secrets += [str(device.refresh_id), link.digest, root.cookies["session"].value]
    secrets += [row.sealed_api_key for row in Connection.objects.exclude(sealed_api_key="")]
    secrets += settings.SIGNING_KEYS + settings.ENCRYPTION_KEYS + [settings.SECRET_KEY]

    pages = [*admin_pages.lists(), *admin_pages.pages_of_rows(), *admin_pages.forms()]
    for page in pages:
        source = root.get(page).content.decode()
        assert [secret for secret in secrets if secret in source] == [], page
    for page in admin_pages.searches():  # nothing is found by what is secret, either
        for secret in secrets[:5]:
            found = root.get(f"{page}?q={quote(secret)}").context["cl"].result_list
            assert list(found) == [], (page, secret)


@pytest.mark.row("A1", "M5")
@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.AGENT, Role.MEMBER])
def test_nobody_else_comes_in(enter, role):
    fill(people=1, conversations=1, messages=2, models=1)
    client = enter(role)

    for page in admin_pages.everything(client):
        answer = client.get(page)
        assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/"), page


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.AGENT, Role.MEMBER])
def test_whoever_is_let_in_sees_what_the_role_may_see(enter, role):
    fill(people=1, conversations=1, messages=2, models=1)
    client = enter(role, is_staff=True)

    opened = {
        page for page in admin_pages.everything(client) if client.get(page).status_code == 200
    }

    people = {page for page in opened if page.startswith("/admin/accounts/user/")}
    assert bool(people) == (role == Role.SUPERVISOR)
    assert opened == people | {"/admin/"}


def test_no_list_counts_its_table(root):
    fill(people=2, conversations=2, messages=2, models=2)

    for page in admin_pages.lists():
        with CaptureQueriesContext(database) as queries:
            root.get(page)
        assert not [each["sql"] for each in queries if "COUNT(" in each["sql"]], page


def test_each_model_stands_in_the_side_bar_once():
    shown = Counter(label for _title, items in SECTIONS for _name, _icon, label in items)

    assert shown == Counter(dict.fromkeys(admin_pages.registered(), 1))


def test_the_first_page_is_sorted_as_the_side_bar_is(root):
    shown = root.get("/admin/").context["app_list"]

    assert [str(section["name"]) for section in shown] == [str(title) for title, _items in SECTIONS]
    assert [model["name"] for section in shown for model in section["models"]] == [
        name for _title, items in SECTIONS for name, _icon, _label in items
    ]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_says_where_it_is_as_the_side_bar_does(enter, language):
    fill(people=1, conversations=1, messages=2, models=1)
    root = enter(Role.ADMIN, language=language)
    rows = dict(admin_pages.rows())

    with translation.override(language):
        for section, items in SECTIONS:
            for name, _icon, label in items:
                way = f"{section}|{name}"
                assert way_to(root.get(admin_pages.address(label, "changelist"))) == way
                if label in rows:
                    row = rows[label]
                    answer = root.get(admin_pages.address(label, "change", row.pk))
                    assert way_to(answer) == f"{way}|{row}"


def test_no_title_uses_words_that_the_side_bar_does_not_have(root):
    for page in [*admin_pages.lists(), *admin_pages.forms()]:
        answer = root.get(page)
        if answer.status_code == admin_pages.OK:
            title = re.search(r"<title>(.*?)</title>", answer.content.decode(), re.DOTALL)[1]
            assert not re.search(r"\b(user|group|constance|config)s?\b", title.lower()), page


def test_every_search_says_what_it_finds():
    silent = {
        label
        for label, model_admin in admin_pages.registered().items()
        if model_admin.search_fields and not model_admin.search_help_text
    }

    assert silent == set()


def test_every_field_says_what_it_means(enter):
    fill(people=1, conversations=1, messages=2, models=1)
    client = enter(Role.ADMIN)
    rows = dict(admin_pages.rows())
    silent = []

    for label, row in rows.items():
        form = client.get(admin_pages.address(label, "change", row.pk)).context["adminform"]
        silent += [
            (label, each.field["name"])
            for fieldset in form
            for line in fieldset
            for each in line
            if each.is_readonly and not each.field["help_text"]
        ]
    for label, row in rows.items():
        for name, args in (("change", (row.pk,)), ("add", ())):
            answer = client.get(admin_pages.address(label, name, *args))
            if answer.status_code == admin_pages.OK:
                fields = answer.context["adminform"].form.fields
                silent += [(label, each) for each, field in fields.items() if not field.help_text]

    assert len(rows) >= len(admin_pages.registered()) - 1
    assert silent == []
