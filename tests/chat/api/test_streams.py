"""Answers as event streams."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from django.test import AsyncClient

from chat.models import Message, Turn
from common import pulse
from common.streaming import Slot, open_streams
from models_registry.errors import ProviderBusy
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request, parse_events
from tests.chat.conftest import Gate
from tests.chat.serving import token_of
from tests.events import text_of

pytestmark = pytest.mark.django_db(transaction=True)

HI = {"content": "Hi"}


@pytest.fixture
def path(conversation) -> str:
    return f"conversations/{conversation.id}/messages/stream"


@pytest.fixture
def quick_pulse(monkeypatch) -> None:
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.02)


@pytest.mark.row("E2")
async def test_events_come_one_by_one_with_the_headers_of_a_stream(serving, token, path, script):
    """E2: each is sent when it is there."""
    gates = [Gate(), Gate()]
    script(TextDelta("a"), gates[0], TextDelta("b"), gates[1], Finished("stop"))

    stream = Request("POST", path, token=token, body=HI, headers={"Accept-Encoding": "gzip"})
    seen = parse_events((await stream.chunk()).decode())
    while seen[-1]["type"] != "chat_chunk":
        seen += parse_events((await stream.chunk()).decode())
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in stream.headers
    assert text_of(seen) == "a"
    gates[0].open()
    seen += parse_events((await stream.chunk()).decode())
    assert text_of(seen) == "ab"
    gates[1].open()
    seen += await stream.events()

    message_id = seen[0]["message_id"]
    assert [event["id"] for event in seen] == [f"{message_id}:{n}" for n in range(4)]
    assert seen[-1]["message"]["content"] == "ab"


@pytest.mark.row("E1")
async def test_text_that_looks_like_the_protocol_is_one_event(serving, token, path, script):
    evil = "a\n\ndata: x\r\nevent: execute\rid: 5\u2028b\u2029c\u0085\x1c"
    script(TextDelta(evil), Finished("stop"))

    stream = Request("POST", path, token=token, body=HI)
    raw = await stream.read()

    assert b"\r" not in raw
    assert b"\xe2\x80\xa8" not in raw
    events = parse_events(raw.decode())
    assert [event["type"] for event in events] == ["chat_start", "chat_chunk", "chat_complete"]
    assert events[1]["content"] == evil


@pytest.mark.row("E3")
async def test_a_silent_turn_sends_comments(serving, token, path, script, settings, quick_pulse):
    """E3: at least one every STREAM_COMMENT_SECONDS."""
    settings.STREAM_COMMENT_SECONDS = 0.2
    gate = Gate()
    script(gate, TextDelta("a"), Finished("stop"))

    stream = Request("POST", path, token=token, body=HI)
    await stream.chunk()
    comments = [await stream.chunk() for _ in range(3)]
    gate.open()
    events = await stream.events()

    assert comments == [b": keep-alive\n\n"] * 3
    assert text_of(events) == "a"


@pytest.mark.row("E3")
async def test_a_turn_that_is_tried_again_sends_comments(
    serving, token, path, script, settings, quick_pulse
):
    settings.STREAM_COMMENT_SECONDS = 0.2
    script(ProviderBusy(retry_after=1))
    script(TextDelta("a"), Finished("stop"))

    stream = Request("POST", path, token=token, body=HI)
    raw = (await stream.read()).decode()

    assert len(script.requests) == 2
    comment, text = raw.index(": keep-alive"), raw.index("chat_chunk")
    assert raw.index("chat_start") < comment < text


@pytest.mark.row("E4")
async def test_a_reader_that_takes_nothing_is_dropped_and_the_turn_goes_on(
    serving, token, path, script, settings, quick_pulse
):
    settings.STREAM_STALLED_SECONDS = 0.1
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))
    dropped = asyncio.Event()

    stream = Request("POST", path, token=token, body=HI, extensions={"parley.drop": dropped.set})
    await stream.chunk()
    stream.stop_reading()
    gate.open()
    await asyncio.wait_for(dropped.wait(), 5)
    stream.inbox.put_nowait({"type": "http.disconnect"})
    await stream.ended()

    assert not open_streams
    while await Turn.objects.filter(status="running").aexists():
        await asyncio.sleep(0.01)
    assert (await Message.objects.aget(role="assistant")).content == "ab"


@pytest.mark.row("E4")
async def test_a_reader_that_leaves_costs_nothing_and_the_turn_goes_on(
    serving, token, alice, path, script
):
    gate = Gate()
    script(TextDelta("a"), gate, TextDelta("b"), Finished("stop"))

    stream = Request("POST", path, token=token, body=HI)
    await stream.chunk()
    assert len(open_streams) == 1
    await stream.leave()

    assert not open_streams
    assert alice.user.pk not in Slot._held  # noqa: SLF001
    gate.open()
    while await Turn.objects.filter(status="running").aexists():
        await asyncio.sleep(0.01)
    assert (await Message.objects.aget(role="assistant")).content == "ab"


@pytest.mark.parametrize("steps", range(0, 40, 4))
async def test_a_reader_that_leaves_at_any_moment_loses_nothing_that_was_prepared(
    serving, token, alice, path, script, steps
):
    """Also before the first byte, while the view still runs in its thread."""
    script(TextDelta("Hello"), Finished("stop"))

    stream = Request("POST", path, token=token, body=HI)
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    await stream.leave()

    # The view may still begin its turn: what counts is the last look, not the first.
    answers = Message.objects.filter(role="assistant").values_list("status", "content")
    async with asyncio.timeout(5):
        found = [each async for each in answers]
        while alice.user.pk in Slot._held or ("streaming", "") in found:  # noqa: SLF001
            await asyncio.sleep(0.01)
            found = [each async for each in answers.all()]
    assert set(found) <= {("complete", "Hello")}


@pytest.mark.row("E5")
async def test_a_stream_over_the_cap_is_refused_before_the_first_byte(
    serving, token, stranger, conversation, path, script, settings
):
    """E5: and begins no turn."""
    settings.STREAMS_PER_USER = 1
    gate = Gate()
    script(TextDelta("a"), gate, Finished("stop"))
    first = Request("POST", path, token=token, body=HI)
    start = parse_events((await first.chunk()).decode())[0]

    second = Request("GET", f"messages/{start['message_id']}/stream", token=token)
    problem = await second.json()

    assert (second.status, problem["code"]) == (429, "rate_limited")
    assert int(second.headers["retry-after"]) >= 1
    assert await Turn.objects.acount() == 1
    gate.open()
    await first.read()
    again = Request("GET", f"messages/{start['message_id']}/stream", token=token)
    assert (await again.events())[-1]["type"] == "chat_complete"


async def told(script, path: str, token: str) -> list[dict]:
    """A finished turn of five events."""
    script(TextDelta("a"), TextDelta("b"), TextDelta("c"), Finished("stop"))
    return await Request("POST", path, token=token, body=HI).events()


@pytest.mark.row("E7")
@pytest.mark.parametrize("after", range(-1, 7))
async def test_a_finished_turn_replays_from_any_position(serving, token, path, script, after):
    """E7: by header and by parameter; past the end comes the end again."""
    whole = await told(script, path, token)
    message_id = whole[0]["message_id"]
    again = f"messages/{message_id}/stream"

    by_header = Request(
        "GET", again, token=token, headers={"Last-Event-ID": f"{message_id}:{after}"}
    )
    by_parameter = Request("GET", f"{again}?after={after}", token=token)

    missing = [event for event in whole if event["seq"] > after] or whole[-1:]
    assert await by_header.events() == missing
    assert await by_parameter.events() == missing


async def test_a_long_replay_leaves_in_pieces(serving, token, path, script):
    """A peer is waited for between them; none is a megabyte because the replay is."""
    script(*(TextDelta(f"{n:04} " * 200) for n in range(300)), Finished("stop"))
    whole = await Request("POST", path, token=token, body=HI).events()

    stream = Request("GET", f"messages/{whole[0]['message_id']}/stream", token=token)
    pieces = [await stream.chunk()]
    while pieces[-1]:
        pieces.append(await stream.chunk())

    assert parse_events(b"".join(pieces).decode()) == whole
    assert len(pieces) > 4


@pytest.mark.row("E6")
@pytest.mark.parametrize(
    "sent",
    [
        "01900000-0000-7000-8000-000000000000:2",
        "{id}:-1",
        "{id}:x",
        "{id}:" + "9" * 31,
        "{id}:" + "9" * 5_000,
        "{id}",
        "{id}:",
        "text",
        "",
        ":",
    ],
)
async def test_a_last_event_id_that_is_not_ours_means_from_the_start(
    serving, token, path, script, sent
):
    whole = await told(script, path, token)
    message_id = whole[0]["message_id"]

    headers = {"Last-Event-ID": sent.format(id=message_id)}
    stream = Request("GET", f"messages/{message_id}/stream", token=token, headers=headers)

    assert await stream.events() == whole


@pytest.mark.row("E6", "I7")
@pytest.mark.parametrize("after", ["x", "1.5", "", "9" * 31, "9" * 5_000, "%00", "1 OR 1"])
async def test_an_after_that_is_no_number_is_invalid(serving, token, path, script, after):
    whole = await told(script, path, token)

    stream = Request("GET", f"messages/{whole[0]['message_id']}/stream?after={after}", token=token)

    assert (await stream.json())["code"] == "invalid"
    assert stream.status == 400


@pytest.mark.row("E8")
async def test_many_readers_join_at_any_moment_and_all_read_the_same(serving, token, path, script):
    """E8: the seam between replay and live."""
    script(*(TextDelta(f"{n} ") for n in range(300)), Finished("stop"))
    first = Request("POST", path, token=token, body=HI)
    start = parse_events((await first.chunk()).decode())[0]
    url = f"messages/{start['message_id']}/stream"

    joined = []
    for number in range(20):
        joined.append(Request("GET", f"{url}?after={number}", token=token))
        await asyncio.sleep(0.001)
    read = await asyncio.gather(*(each.events() for each in joined))
    whole = await Request("GET", url, token=token).events()
    await first.read()

    for number, events in enumerate(read):
        assert events == [event for event in whole if event["seq"] > number]


async def test_refusals_of_a_stream_are_problems(serving, token, stranger, path):
    """Before the first byte, with a status; never labelled as a stream."""
    for bearer, body, status in [("", HI, 401), (stranger, HI, 404), (token, {}, 400)]:
        headers = {"Accept": "text/event-stream"}
        request = Request("POST", path, token=bearer, body=body, headers=headers)
        problem = await request.json()
        assert (request.status, problem["status"]) == (status, status)
        assert request.headers["content-type"] == "application/problem+json"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_any_other_handler_sends_the_same_bytes(serving, token, path, script):
    """`runserver` and test clients iterate the response."""
    whole = await told(script, path, token)

    response: Any = await AsyncClient().get(
        f"/api/v1/messages/{whole[0]['message_id']}/stream", headers=bearer(token)
    )
    raw = b"".join([part async for part in response.streaming_content])

    assert parse_events(raw.decode()) == whole
    assert not open_streams


async def test_a_stream_whose_reader_stops_iterating_is_closed(serving, token, path, script):
    gate = Gate()
    script(TextDelta("a"), gate, Finished("stop"))

    response: Any = await AsyncClient().post(
        f"/api/v1/{path}", HI, content_type="application/json", headers=bearer(token)
    )
    parts = response.streaming_content
    async with contextlib.aclosing(parts):
        assert b"chat_start" in await anext(parts)
    response.close()
    async with asyncio.timeout(5):
        while open_streams:
            await asyncio.sleep(0.01)

    gate.open()


async def test_the_place_of_a_stream_is_given_back_when_its_turn_is_refused(
    serving, stranger, charlie, path
):
    request = Request("POST", path, token=stranger, body=HI)

    await request.read()

    assert request.status == 404
    assert charlie.user.pk not in Slot._held  # noqa: SLF001


async def test_a_wait_holds_no_database_connection(serving, alice, token, path, script):
    """Promise of ARCHITECTURE 2: nothing of a request waits in a thread."""
    gate = Gate()
    script(gate, TextDelta("a"), Finished("stop"))

    waiting = Request("POST", path.removesuffix("/stream"), token=token, body=HI)
    while not await Turn.objects.aexists():
        await asyncio.sleep(0.01)
    other = Request("GET", "conversations", token=await asyncio.to_thread(token_of, alice.user))
    assert (await other.json())["results"]
    assert not waiting.task.done()
    gate.open()
    await waiting.read()

    assert waiting.status == 201
