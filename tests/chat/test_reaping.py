"""`manage.py reap_turns` ends what a dead process left, and leaves alone what lives."""

from __future__ import annotations

import io
import json

import pytest
from django.conf import settings as configured
from django.core.management import call_command

from chat.models import Message, Turn
from chat.services.turn_requests import send_message
from chat.streams.hub import hub
from chat.turns import tending
from chat.turns.reaping import reap
from common.db import in_thread
from quotas.models import Hold
from tests import needs
from tests.chat.processes import process, say

pytestmark = pytest.mark.django_db(transaction=True)


class Time:
    """Monotonic seconds that pass while the command waits; `passing` is called each time."""

    def __init__(self):
        self.now = 1_000.0
        self.waited = 0.0

    def monotonic(self):
        return self.now

    async def wait(self, seconds):
        self.now += seconds
        self.waited += seconds
        await self.passing()

    async def passing(self):
        """Nothing."""


@pytest.fixture
def passing(monkeypatch):
    moved = Time()
    monkeypatch.setattr(tending, "time", moved)
    return moved


@pytest.fixture
def left(alice, conversation, not_launched):
    """A turn whose process died after a checkpoint."""
    ref = send_message(alice, conversation.id, content="Hi").ref
    Turn.objects.update(owner="server-dead", text="So far", last_seq=4)
    return ref


async def status(ref):
    return await in_thread(lambda: Turn.objects.get(pk=ref.turn_id).status)()


@pytest.mark.row("F1")
async def test_a_dead_turn_is_ended_with_its_text_and_its_hold_settled(left, passing):
    """F1"""
    ended = await reap(wait=passing.wait)

    message = await in_thread(Message.objects.get)(pk=left.message_id)
    assert ended == [left.turn_id]
    assert (message.status, message.content) == ("interrupted", "So far")
    assert (await in_thread(Hold.objects.get)()).status == "settled"
    assert passing.waited >= configured.DEAD_TURN_SECONDS


async def test_one_that_beats_is_left_alone(left, passing):
    async def beat():
        await in_thread(lambda: Turn.objects.update(beat=int(passing.waited)))()

    passing.passing = beat

    assert await reap(wait=passing.wait) == []
    assert await status(left) == "running"


async def test_a_dry_run_names_it_and_ends_nothing(left, passing):
    assert await reap(close=False, wait=passing.wait) == [left.turn_id]

    assert await status(left) == "running"


async def test_with_nothing_running_nobody_waits(alice, passing):
    assert await reap(wait=passing.wait) == []

    assert passing.waited == 0


@needs.redis
async def test_the_text_comes_from_redis_where_it_has_more(left, not_launched, passing):
    _prepared, start = not_launched[0]
    async with process(redis=True) as dead:
        say(dead, dead.hub.open(left, start), *(f"word {n} " for n in range(9)))

    await reap(wait=passing.wait)

    message = await in_thread(Message.objects.get)(pk=left.message_id)
    assert message.content == "".join(f"word {n} " for n in range(9))
    assert hub.mirror is None


def test_the_command_says_what_it_ended(left, monkeypatch):
    async def found(*, close):
        return [left.turn_id] if close else []

    monkeypatch.setattr("chat.management.commands.reap_turns.reap", found)
    out = io.StringIO()

    call_command("reap_turns", "--format", "json", stdout=out)

    assert json.loads(out.getvalue()) == {"ended": 1, "turns": [str(left.turn_id)]}
