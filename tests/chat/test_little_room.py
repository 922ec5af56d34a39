"""F8: under 200 MB nothing new begins, and what is there is read."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from chat.models import Turn
from chat.services.conversations import change_conversation, create_conversation
from chat.services.turn_requests import chat_once, regenerate, send_message
from common import disk
from common.errors import Unavailable
from common.health import health
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold
from tests.asgi import Request
from tests.chat.conftest import read

pytestmark = pytest.mark.django_db(transaction=True)

MB = 1 << 20


@pytest.fixture
def left(monkeypatch):
    """Say how many bytes the disk has left."""

    def leave(free: int) -> None:
        monkeypatch.setattr(
            os, "statvfs", lambda _path: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096)
        )
        health.forget()

    yield leave
    health.forget()


@pytest.mark.row("F8")
def test_no_turn_begins_and_nothing_is_written(alice, conversation, script, left):
    left(199 * MB)

    with pytest.raises(Unavailable, match="disk") as refused:
        send_message(alice, conversation.id, content="Hi")
    with pytest.raises(Unavailable, match="disk"):
        chat_once(alice, messages=[{"role": "user", "content": "Hi"}])

    assert refused.value.as_problem()["code"] == "unavailable"
    assert "Retry-After" in refused.value.headers()
    assert not Turn.objects.exists()
    assert not Hold.objects.exists()


@pytest.mark.row("F8")
def test_an_answer_is_not_begun_again(alice, conversation, script, left):
    script(TextDelta("Hello"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    read(ref)
    left(199 * MB)

    with pytest.raises(Unavailable, match="disk"):
        regenerate(alice, ref.message_id)


@pytest.mark.row("F8")
def test_once_there_is_room_again_it_goes_on(alice, conversation, script, left):
    left(199 * MB)
    with pytest.raises(Unavailable):
        send_message(alice, conversation.id, content="Hi")

    left(201 * MB)
    script(TextDelta("Hello"), Finished("stop"))

    assert read(send_message(alice, conversation.id, content="Hi").ref)[-1]["message"]


def test_who_repeats_a_key_still_gets_the_answer(alice, conversation, script, left):
    script(TextDelta("Hello"), Finished("stop"))
    first = send_message(alice, conversation.id, content="Hi", idempotency_key="k1")
    read(first.ref)
    left(0)

    again = send_message(alice, conversation.id, content="Hi", idempotency_key="k1")

    assert again.joined
    assert read(again.ref)[-1]["message"]["content"] == "Hello"


@pytest.mark.row("F8")
def test_small_changes_may_still_be_made(alice, left):
    """Someone who wants to tidy up must be able to."""
    left(199 * MB)

    made = create_conversation(alice, title="Before")

    assert change_conversation(alice, made.pk, title="After").title == "After"


async def test_health_names_it_and_the_server_stays_ready(left):
    left(199 * MB)
    request = Request("GET", "/health")
    found = await request.json()

    assert request.status == 503
    assert found["checks"]["database"] == "disk_low"
    request = Request("GET", "/health/ready")
    assert await request.begun() == 200


def test_zero_never_looks(left, settings):
    settings.FREE_DISK_BYTES = 0
    left(0)

    assert not disk.is_low()
