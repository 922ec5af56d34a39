"""M3: every page of the admin with 5,000 people and 100,000 messages, on the database at hand."""

from __future__ import annotations

import time

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.services import registration
from chat.models import Message
from models_registry.services.models import ensure_offline_model
from tests import admin_pages
from tests.filling import fill

pytestmark = pytest.mark.django_db

MOST_SECONDS, MOST_QUERIES = 1.0, 20


def test_every_page_opens_within_a_second(db):
    ensure_offline_model()
    root = registration.create_person(
        username="root", email="root@x.example", password="long enough", roles=["admin"]
    )
    fill(people=5_000, conversations=1_000, messages=100, models=300)
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")
    client = Client()
    client.force_login(root)
    client.get("/admin/")

    slow, dear = {}, {}
    for page in admin_pages.everything(client):
        seconds, queries = _cost(client, page)
        if seconds > MOST_SECONDS:
            slow[page] = round(seconds, 2)
        if queries > MOST_QUERIES:
            dear[page] = queries

    assert Message.objects.count() == 100_000
    assert (slow, dear) == ({}, {})


def _cost(client: Client, page: str) -> tuple[float, int]:
    """The least seconds of three tries, as other work may share the machine, and the queries; one
    try that is quick enough is the last."""
    least = float("inf")
    for _try in range(3):
        with CaptureQueriesContext(database) as queries:
            begun = time.perf_counter()
            answer = client.get(page)
            least = min(least, time.perf_counter() - begun)
        assert answer.status_code in {200, 403}, (page, answer.status_code)
        if least <= MOST_SECONDS:
            break
    return least, len(queries)
