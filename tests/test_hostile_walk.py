"""Every route again, as somebody who forges: fields, queries, and a cookie of somebody else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db.models import Q
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from accounts.models import User
from chat.models import Conversation, Turn
from common.db import in_thread
from tests.asgi import Request
from tests.chat.conftest import _no_turn_left, script
from tests.chat.serving import serving
from tests.waiting import until
from tests.walk_table import ROUTES, Route
from tests.walk_world import world

__all__ = ["_no_turn_left", "script", "serving", "world"]

pytestmark = pytest.mark.django_db(transaction=True)

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
NOWHERE = "0190f0f0-f0f0-7f0f-8f0f-f0f0f0f0f0f0"
LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)

# What a client may send and never write. Where a field of this name is a route's own, its own
# rules hold, and the tests of that route.
FORGED = {
    "id": NOWHERE,
    "roles": ["admin"],
    "is_staff": True,
    "is_superuser": True,
    "owner": "{stranger}",
    "owner_id": "{stranger}",
    "user": "{stranger}",
    "user_id": "{stranger}",
    "scope": "system",
    "plan": "Small",
    "tokens": 987_654_321,
    "prompt_tokens": 987_654_321,
    "cost": "987654321",
    "message_count": 987_654_321,
    "position": 987_654_321,
    "status": "failed",
    "role": "system",
    "created_at": LONG_AGO.isoformat(),
}


def stored() -> list[tuple[str, dict[str, Any]]]:
    """Every row of every table of ours."""
    ours = [model for model in apps.get_models() if not model._meta.label.startswith("admin.")]  # noqa: SLF001
    return [
        (model._meta.label, row)  # noqa: SLF001
        for model in ours
        for row in model._default_manager.values()  # noqa: SLF001
    ]


def of(rows: list[tuple[str, dict[str, Any]]], person: str) -> int:
    """How many rows name this person as theirs."""
    return sum(UUID(person) in row.values() for _label, row in rows)


@pytest.mark.row("A4")
async def test_what_a_client_may_not_write_is_stored_by_no_route(world):
    before = await in_thread(stored)()

    for route in ROUTES:
        if route.open or route.body is None or route.method not in {"POST", "PUT", "PATCH"}:
            continue
        body = world.fill({**FORGED, **route.body})
        request = Request(route.method, world.path(route), token=world.holder(route), body=body)
        told = await request.read()
        assert request.status in {route.status, 400}, (route, told)
        await in_thread(_until_no_turn_runs)()

    after = await in_thread(stored)()
    assert len(after) > len(before)  # much was written, and none of it was that
    assert await in_thread(administrators)() == {"root"}
    text = repr(after)
    assert "987654321" not in text
    assert NOWHERE not in text
    assert repr(LONG_AGO) not in text
    assert of(after, world.names["stranger"]) == of(before, world.names["stranger"])
    assert {row["status"] for label, row in after if label == "chat.Message"} == {"complete"}
    assert {row["role"] for label, row in after if label == "chat.Message"} == {"user", "assistant"}


def administrators() -> set[str]:
    may = Q(is_staff=True) | Q(is_superuser=True) | Q(groups__name="admin")
    return set(User.objects.filter(may).values_list("username", flat=True))


def _until_no_turn_runs() -> None:
    until(lambda: not Turn.objects.filter(status="running").exists(), "every turn has ended")


# -- queries -----------------------------------------------------------------------------------
HOSTILE = ("user__password", "-id;x", "a.b", "' OR 1=1", "x') OR ('1'='1", "owner__username")


def queries() -> dict[str, list[str]]:
    """Of each address that is read, by its pattern, the parameters that its schema names."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    named = {}
    for route in ROUTES:
        path = "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route.pattern).replace("{pk}", "{id}")
        told = schema["paths"].get(path, {}).get(route.method.lower())
        if route.method == "GET" and told:
            parameters = told.get("parameters", [])
            named[route.pattern] = [each["name"] for each in parameters if each["in"] == "query"]
    return named


@pytest.mark.row("A5")
async def test_no_parameter_of_any_route_is_a_way_into_the_statement(world):
    """An order is one of those listed; what is no value is refused or finds nothing."""
    named = queries()
    assert {"ordering", "cursor", "limit", "q"} <= set(chain.from_iterable(named.values()))
    wrong = []
    for route in ROUTES:
        if route.method != "GET" or not named.get(route.pattern):
            continue
        for name in named[route.pattern]:
            for value in HOSTILE:
                asked = Route("GET", route.pattern, query=f"{name}={quote(value)}")
                request = Request("GET", world.path(asked), token=world.holder(route))
                told = await request.read()
                refused = request.status == 400
                found_nothing = b'"results":[]' in told and name != "ordering"
                if not (refused or found_nothing):
                    wrong.append((route.pattern, name, value, request.status, told[:80]))

    assert wrong == []


# -- a cookie ----------------------------------------------------------------------------------
@pytest.mark.row("S18")
async def test_a_cookie_alone_changes_nothing(world):
    """As another site's page would send it: with the cookie, without our token."""
    cookie = await in_thread(session_of)(world.names["person"])
    seen = Request("GET", "users/me", headers={"Cookie": cookie})
    assert (await seen.json())["username"] == "alice"  # the session is good
    before = await in_thread(Conversation.objects.count)()

    for route in ROUTES:
        if route.open or route.method not in UNSAFE:
            continue
        for origin in ({}, {"Origin": "https://evil.example"}):
            headers = {"Cookie": cookie, **origin}
            body = world.fill(route.body or {})
            request = Request(route.method, world.path(route), body=body, headers=headers)
            told = await request.read()
            assert request.status == 403, (route, told)

    assert await in_thread(Conversation.objects.count)() == before
    assert (await (Request("GET", "users/me", headers={"Cookie": cookie})).json())["username"]


def session_of(person: str) -> str:
    browser = Client()
    browser.force_login(User.objects.get(pk=person))
    name = django_settings.SESSION_COOKIE_NAME
    return f"{name}={browser.cookies[name].value}"
