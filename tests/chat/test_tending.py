"""What a dead process left is ended by a living one, and what lives is left alone (F1)."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from django.conf import settings as configured
from django.db import OperationalError
from django.utils import translation

from chat.models import Message, Turn
from chat.services.turn_requests import chat_once, regenerate, send_message
from chat.turns import closing, tending
from chat.turns.closing import close_turn
from chat.turns.runner import runner
from chat.turns.tending import Tender
from common.db import in_thread
from common.errors import Unavailable
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold, UsageRecord
from tests import needs
from tests.chat.conftest import make_model, read
from tests.chat.processes import process, say, text_after

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    """Monotonic seconds that the test moves."""

    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tending, "time", clock)
    return clock


@pytest.fixture
def left(alice, conversation, not_launched):
    """A turn whose process died after a checkpoint."""
    ref = send_message(alice, conversation.id, content="Hi").ref
    Turn.objects.update(owner="server-dead", text="So far", last_seq=4, reasoning="Hm.")
    return ref


async def status(ref):
    return await in_thread(lambda: Turn.objects.get(pk=ref.turn_id).status)()


async def beat(ref):
    await in_thread(lambda: Turn.objects.filter(pk=ref.turn_id).update(beat=7))()


async def look(tender, clock, *, after=0.0):
    """One look now, or as many as there are until `after` has passed."""
    if not after:
        await tender.look()
    while after > 0:
        step = min(after, configured.LOOK_SECONDS)
        clock.now += step
        after -= step
        await tender.look()


@pytest.mark.row("F1")
async def test_a_turn_that_does_not_move_for_thirty_seconds_is_interrupted(left, clock):
    tender = Tender("server-alive", {})

    await look(tender, clock)
    for _ in range(9):
        await look(tender, clock, after=3)
    assert await status(left) == "running"
    await look(tender, clock, after=3)

    assert await status(left) == "interrupted"
    message = await in_thread(Message.objects.get)(pk=left.message_id)
    assert (message.status, message.content, message.reasoning) == ("interrupted", "So far", "Hm.")
    assert message.error_code == "unavailable"
    assert "cut off because the server was stopped or restarted" in message.error_detail
    assert message.completion_tokens
    assert message.usage_estimated
    assert (await in_thread(Hold.objects.get)()).status == "settled"
    assert (await in_thread(UsageRecord.objects.get)()).outcome == "interrupted"


async def test_a_turn_that_beats_is_left_alone(left, clock):
    tender = Tender("server-alive", {})
    await look(tender, clock)
    await look(tender, clock, after=29)
    await beat(left)

    await look(tender, clock, after=3)
    await look(tender, clock, after=29)
    assert await status(left) == "running"

    await look(tender, clock, after=2)
    assert await status(left) == "interrupted"


async def test_one_s_own_turns_are_left_alone(left, clock):
    tender = Tender("server-alive", {left.turn_id: object()})

    await look(tender, clock)
    await look(tender, clock, after=3_600)

    assert await status(left) == "running"


async def test_time_while_the_database_was_away_does_not_count(left, clock, monkeypatch):
    """Nobody can beat without a database."""
    tender = Tender("server-alive", {})
    await look(tender, clock)
    await look(tender, clock, after=3)
    real = tending._running_elsewhere  # noqa: SLF001 where the database is asked

    def away(_in_flight):
        raise OperationalError("away")

    monkeypatch.setattr(tending, "_running_elsewhere", away)
    for _ in range(20):
        with pytest.raises(OperationalError):
            await look(tender, clock, after=3)
    monkeypatch.setattr(tending, "_running_elsewhere", real)
    await look(tender, clock, after=3)
    await look(tender, clock, after=20)
    assert await status(left) == "running"

    await look(tender, clock, after=10)

    assert await status(left) == "interrupted"


async def test_the_first_look_closes_nothing(left, clock):
    clock.now += 10_000
    await Tender("server-alive", {}).look()

    assert await status(left) == "running"


async def test_a_pause_of_the_whole_machine_does_not_count(left, clock):
    """Its clock went on, but nobody on it could beat."""
    tender = Tender("server-alive", {})
    await look(tender, clock)
    clock.now += 3_600
    await tender.look()
    assert await status(left) == "running"
    await beat(left)

    await look(tender, clock, after=12)

    assert await status(left) == "running"


async def test_a_turn_that_cannot_be_closed_keeps_no_other_from_being_closed(
    alice, left, not_launched, clock, monkeypatch
):
    bad = (await in_thread(chat_once)(alice, messages=[{"role": "user", "content": "Hi"}])).ref
    await in_thread(lambda: Turn.objects.update(owner="server-dead"))()
    ids = sorted([bad.turn_id, left.turn_id], key=lambda each: each == left.turn_id)
    monkeypatch.setattr(tending, "_left_by_servers", lambda _owner: ids)
    real = tending.close_turn

    async def closes_but_one(turn_id, **how):
        if turn_id == bad.turn_id:
            raise ValueError("a bad row")
        return await real(turn_id, **how)

    monkeypatch.setattr(tending, "close_turn", closes_but_one)

    await Tender("server-new", {}).close_what_servers_left()

    assert [await status(bad), await status(left)] == ["running", "interrupted"]


@pytest.mark.row("F1")
async def test_what_servers_left_is_closed_at_once_before_the_only_server_serves(left):
    """Without Redis; a command's turns go by the beat."""
    await Tender("server-new", {}).close_what_servers_left()

    assert await status(left) == "interrupted"


@pytest.mark.parametrize("owner", ["command-alive", "server-new"])
async def test_turns_of_commands_and_one_s_own_are_not_closed_at_start(left, owner):
    await in_thread(lambda: Turn.objects.update(owner=owner))()

    await Tender("server-new", {}).close_what_servers_left()

    assert await status(left) == "running"


async def test_a_turn_that_ended_meanwhile_is_not_ended_again(left):
    assert await close_turn(left.turn_id, status="interrupted", error=Unavailable())
    assert not await close_turn(left.turn_id, status="interrupted", error=Unavailable())

    assert await in_thread(UsageRecord.objects.count)() == 1


@pytest.mark.row("F1")
@needs.redis
async def test_the_text_comes_from_redis_where_it_has_more_than_the_checkpoint(
    left, not_launched, monkeypatch
):
    """F1: the end's number follows the last chunk that any reader saw."""
    prepared, start = not_launched[0]
    async with process(redis=True) as dead:
        say(dead, dead.hub.open(left, start), *(f"word {n} " for n in range(9)))
    async with process(redis=True) as alive:
        monkeypatch.setattr("chat.turns.closing.hub", alive.hub)
        watching = await alive.hub.follow(left)

        await close_turn(left.turn_id, status="interrupted", error=Unavailable())
        found = await alive.read(left)
        # This reader had three more chunks from the dead process than Redis ever got.
        ahead = await alive.read(left, after=12)

    assert watching.ended
    message = await in_thread(Message.objects.get)(pk=left.message_id)
    assert message.content == "".join(f"word {n} " for n in range(9)) == text_after(found)
    assert orjson.loads(found[-1].data)["seq"] == found[-1].seq > 12
    assert [event.type for event in ahead] == ["snapshot", "chat_complete"]
    assert text_after(ahead) == message.content
    assert prepared.ref == left


async def test_the_end_made_for_another_is_like_the_one_it_would_have_made(
    alice, conversation, model, not_launched, monkeypatch
):
    """Its siblings, its language, and the price of the model that answered."""
    second = await in_thread(make_model)("second", input_price=9, output_price=9)
    model.fallbacks = [str(second.id)]
    await in_thread(model.save)()
    first = (await in_thread(send_message)(alice, conversation.id, content="Hi")).ref
    await close_turn(first.turn_id, status="interrupted", error=Unavailable())
    with translation.override("zh-hans"):
        other = (await in_thread(regenerate)(alice, first.message_id)).ref
    rows = Turn.objects.filter(pk=other.turn_id)
    await in_thread(rows.update)(answering=1, text="So far", last_seq=2)
    real, languages = closing.finish_turn, []

    def finish(ending):
        languages.append(ending.language)
        return real(ending)

    monkeypatch.setattr(closing, "finish_turn", finish)
    async with process(redis=False) as alive:
        monkeypatch.setattr(closing, "hub", alive.hub)
        watching = await alive.hub.follow(other)
        await close_turn(other.turn_id, status="interrupted", error=Unavailable())

    told = orjson.loads(watching.end_event().data)["message"]
    assert languages == ["zh-hans"]
    assert told["siblings"] == [str(first.message_id), str(other.message_id)]
    assert (told["model"], told["fallback"]) == ("second", True)
    record = await in_thread(UsageRecord.objects.get)(turn_id=other.turn_id)
    assert (record.model, record.answered_by, record.input_price) == ("echo", "second", 9)


@pytest.mark.row("F1")
async def test_a_killed_stateless_turn_is_settled_by_how_much_was_said(
    alice, model, not_launched, clock
):
    """Nothing that was said is kept, only how many characters."""
    messages = [{"role": "user", "content": "Hi"}]
    ref = (await in_thread(chat_once)(alice, messages=messages)).ref
    await in_thread(lambda: Turn.objects.update(owner="server-dead", characters=300, last_seq=9))()
    tender = Tender("server-alive", {})
    await look(tender, clock)

    await look(tender, clock, after=30)

    assert await status(ref) == "interrupted"
    record = await in_thread(UsageRecord.objects.get)()
    assert (record.completion_tokens, record.estimated) == (100, True)


@pytest.mark.row("F1")
def test_the_conversation_goes_on_after_its_turn_was_closed(alice, conversation, script):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "launch", lambda _prepared, _start: None)
        left = send_message(alice, conversation.id, content="Hi").ref
    asyncio.run(close_turn(left.turn_id, status="interrupted", error=Unavailable()))
    script(TextDelta("Hello"), Finished("stop"))

    ref = send_message(alice, conversation.id, content="And now?").ref

    assert read(ref)[-1]["message"]["content"] == "Hello"
    assert read(left)[-1]["message"]["status"] == "interrupted"
