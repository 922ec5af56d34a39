"""No road around the doors: Django's own, and views that need to know who calls (S8)."""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.test import RequestFactory
from rest_framework.request import Request

from accounts.api.callers import caller_of
from accounts.models import SignInFailures
from common.errors import Unauthenticated
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.mark.row("S8")
def test_djangos_own_door_counts_too(mina):
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7")

    assert authenticate(request, username="mina", password=PASSWORD) == mina
    assert authenticate(request, username="mina", password="wrong") is None
    assert SignInFailures.objects.get(scope="account_address").count == 1


@pytest.mark.row("S8")
def test_nobody_is_checked_without_a_request_to_count(mina):
    assert authenticate(username="mina", password=PASSWORD) is None


def test_a_view_that_asks_who_calls_gets_no_strangers():
    with pytest.raises(Unauthenticated):
        caller_of(Request(RequestFactory().get("/")))
