"""A person's sockets hear at once that a limit comes to its end, and once each."""

from __future__ import annotations

import pytest

from chat.consumers import look_for_warnings
from chat.services.turn_requests import send_message
from common.db import in_thread
from models_registry.providers.base import Finished, TextDelta
from quotas.models import QuotaWarning
from quotas.services import granting, subjects
from tests.asgi import Socket
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ask(alice, conversation, script):
    """Have a turn end which uses up a limit of one request."""
    script(TextDelta("Hello"), Finished("stop"))

    def limited():
        granting.set_limit(subjects.person(alice.user), "requests", "day", 1, actor=None)
        send_message(alice, conversation.id, content="Hi")
        until(QuotaWarning.objects.exists, "the limit was reached")

    return in_thread(limited)


async def test_it_is_told_to_every_socket_of_its_person_and_to_no_other(
    serving, token, stranger, ask
):
    async with (
        Socket(token=token) as one,
        Socket(token=token) as other,
        Socket(token=stranger) as foreign,
    ):
        await ask()

        for socket in (one, other):
            told = (await socket.until("quota_warning"))[-1]
            assert told["percent"] == 100
            assert told["limit"]["subject"] == "user"
            assert (told["limit"]["metric"], told["limit"]["used"]) == ("requests", 1)
        assert (await foreign.ask({"type": "ping"}))["type"] == "pong"


async def test_a_lost_nudge_is_made_good_by_the_next_look_once(serving, token, ask, monkeypatch):
    """W11."""
    monkeypatch.setattr("chat.receivers.nudges.quota_warned", lambda _warning: None)
    async with Socket(token=token) as socket:
        await ask()
        for _ in range(2):
            await look_for_warnings()

        assert (await socket.until("quota_warning"))[-1]["percent"] == 100
        socket.send({"type": "ping"})
        assert [each["type"] for each in await socket.until("pong")].count("quota_warning") == 0


async def test_a_socket_that_came_later_is_not_told(serving, token, ask):
    await ask()

    async with Socket(token=token) as socket:
        await look_for_warnings()

        socket.send({"type": "ping"})
        assert [each["type"] for each in await socket.until("pong")] == ["pong"]
