"""I7: a query parameter outside its kind is `invalid`, never a default."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from common.api import query
from common.errors import Invalid

TODAY = date(2030, 6, 15)


def asked(text: str) -> Request:
    return Request(RequestFactory().get(f"/list?{text}"))


@pytest.mark.row("I7")
@pytest.mark.parametrize(
    "value", ["0", "101", "-1", "1e2", "", "x", "1" + "0" * 30, "\u0665", " 5", "+5"]
)
def test_a_limit_is_1_to_100(value):
    with pytest.raises(Invalid) as refusal:
        query.limit(asked(f"limit={value}"))

    assert "limit" in (refusal.value.errors or {})


def test_a_limit_within_is_taken():
    assert query.limit(asked("limit=100")) == 100
    assert query.limit(asked("")) == 20


@pytest.mark.parametrize("value", ["True", "1", "yes", ""])
def test_true_and_false_are_words(value):
    with pytest.raises(Invalid):
        query.boolean(asked(f"archived={value}"), "archived")


def test_booleans_are_read():
    assert query.boolean(asked("archived=true"), "archived") is True
    assert query.boolean(asked("archived=false"), "archived") is False
    assert query.boolean(asked(""), "archived") is None


@pytest.mark.row("A5")
@pytest.mark.parametrize("value", ["user__password", "-id;x", "a.b", "' OR 1=1", "", "%00"])
def test_only_listed_values_are_values(value):
    """An allow-list, nothing else."""
    with pytest.raises(Invalid):
        query.choice(asked(f"ordering={value}"), "ordering", ("title", "-title"))


@pytest.mark.parametrize("value", ["x", "123", "0" * 100, "10%5E30"])
def test_an_id_is_an_id(value):
    with pytest.raises(Invalid):
        query.uuid(asked(f"branch={value}"), "branch")


def test_ids_are_read():
    found = "01a1fd5e-a208-71c3-ae11-547ae1cebc15"

    assert query.uuid(asked(f"branch={found}"), "branch") == UUID(found)


@pytest.mark.row("I7")
@pytest.mark.parametrize(
    "text",
    [
        "from=1999-12-31&to=2000-01-05",
        "from=2101-01-01",
        "to=2030-13-01",
        "to=20300101",
        "to=2030-1-1",
        "to=2030-01-01T00:00",
        "to=10%5E30",
        "from=2030-01-02&to=2030-01-01",
        "from=2029-01-01&to=2030-02-10",
        "from=%00",
    ],
)
def test_days_out_of_range_are_refused(text):
    with pytest.raises(Invalid):
        query.days(asked(text), today=TODAY)


def test_days_are_inclusive_and_have_a_default():
    assert query.days(asked(""), today=TODAY) == (date(2030, 5, 17), TODAY)
    assert query.days(asked("from=2030-06-15"), today=TODAY) == (TODAY, TODAY)


@pytest.mark.row("I11")
@pytest.mark.parametrize("value", ["", "%20", "a" * 201, "%00"])
def test_search_takes_1_to_200_characters(value):
    with pytest.raises(Invalid):
        query.search(asked(f"q={value}"))


def test_search_text_is_left_alone():
    assert query.search(asked("q=%25_%27")) == "%_'"
    assert query.search(asked("")) == ""
