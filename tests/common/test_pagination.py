"""I6: a cursor is signed, and good for one list, one order and one caller."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from rest_framework.request import Request

from common.api.pagination import CursorPagination
from common.errors import Invalid

pytestmark = pytest.mark.django_db

ANA = SimpleNamespace(pk="ana", is_authenticated=True)
BOB = SimpleNamespace(pk="bob", is_authenticated=True)


def page(
    query: dict[str, str], *, path: str = "/api/v1/things", user: Any = ANA, ordering: str = "-id"
) -> dict[str, Any]:
    request: Any = Request(RequestFactory().get(path, query))
    request._user = user  # noqa: SLF001 signed in without a view
    paginator = CursorPagination()
    rows = paginator.paginate_queryset(
        Permission.objects.all(), request, view=SimpleNamespace(ordering=ordering)
    )
    return {
        "ids": [row.pk for row in rows],
        "next": paginator.get_next_link(),
        "previous": paginator.get_previous_link(),
    }


def cursor_of(link: str | None) -> str:
    assert link
    return parse_qs(urlsplit(link).query)["cursor"][0]


def walk(direction: str, first: dict[str, Any]) -> list[dict[str, Any]]:
    pages = [first]
    while link := pages[-1][direction]:
        pages.append(page({"limit": "7", "cursor": cursor_of(link)}))
    return pages


def test_every_row_comes_once_there_and_back():
    wanted = list(Permission.objects.order_by("-pk").values_list("pk", flat=True))

    there = walk("next", page({"limit": "7"}))
    back = walk("previous", there[-1])

    assert [pk for found in there for pk in found["ids"]] == wanted
    assert [found["ids"] for found in reversed(back)] == [found["ids"] for found in there]


@pytest.mark.row("S13")
def test_links_begin_with_the_public_address(settings):
    """Never with what the request says."""
    settings.PUBLIC_URL = "https://chat.example.com"

    link = page({"limit": "2", "q": "a b&c"})["next"]

    assert link.startswith("https://chat.example.com/api/v1/things?")
    assert parse_qs(urlsplit(link).query)["q"] == ["a b&c"]
    assert parse_qs(urlsplit(link).query)["limit"] == ["2"]


@pytest.mark.row("I6")
@pytest.mark.parametrize(
    "cursor",
    [
        "garbage",
        "\x00",
        "",
        base64.b64encode(b"p=" + b"9" * 400).decode(),
        "5b5d:x",
        "a" * 10_000,
        "p=1",
    ],
)
def test_a_made_up_cursor_is_invalid(cursor):
    with pytest.raises(Invalid):
        page({"cursor": cursor})


@pytest.mark.row("I6")
@pytest.mark.parametrize(
    "other", [{"path": "/api/v1/others"}, {"user": BOB}, {"ordering": "codename"}]
)
def test_a_cursor_of_another_list_caller_or_order_is_invalid(other):
    cursor = cursor_of(page({"limit": "2"})["next"])

    with pytest.raises(Invalid):
        page({"limit": "2", "cursor": cursor}, **other)


@pytest.mark.row("I6")
def test_a_changed_cursor_is_invalid():
    cursor = cursor_of(page({"limit": "2"})["next"])
    digit = "0" if cursor[3] != "0" else "1"

    with pytest.raises(Invalid):
        page({"cursor": cursor[:3] + digit + cursor[4:]})
