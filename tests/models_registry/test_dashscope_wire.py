"""An answer over DashScope's wire."""

import json
from dataclasses import replace

import pytest

from models_registry.providers.base import (
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models_registry.providers.factory import provider_at
from tests.models_registry.asking import ask, finished, reasoning, request, text
from tests.models_registry.dashscope_wire import (
    answer,
    delta,
    events,
    finish,
    tool_call,
)
from tests.models_registry.upstream import Reply, Wait
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")

LOOK = {"type": "function", "function": {"name": "look"}}


@pytest.fixture
def endpoint(upstream):
    spoken_at(upstream, "dashscope")
    root = upstream.url.removesuffix("/v1")
    return replace(endpoint_at(upstream, "dashscope"), base_url=f"{root}/api/v1")


async def test_a_plain_answer(upstream, endpoint):
    upstream.script(answer("Hel", "lo", prompt=9, completion=2))

    got = await ask(endpoint)

    assert text(got) == "Hello"
    assert finished(got) == Finished("stop", Usage(9, 2))


async def test_a_delta_comes_before_the_next_one_is_sent(upstream, endpoint):
    go_on = Wait()
    upstream.script(Reply((events(delta("first")), go_on, events(finish(text="second")))))

    stream = provider_at(endpoint, upstream_name="mock").stream(request())
    assert await anext(stream) == TextDelta("first")
    go_on.set()

    assert [each async for each in stream] == [TextDelta("second"), Finished("stop", Usage(7, 2))]


async def test_a_connection_is_used_again(upstream, endpoint):
    upstream.script(answer("Hi"))

    for _ in range(3):
        await ask(endpoint)

    assert upstream.connections == 1


async def test_thoughts_are_kept_apart(upstream, endpoint):
    thoughts = [delta(reasoning_content="Hm"), delta(reasoning_content="m.")]
    upstream.script(Reply((events(*thoughts, delta("42"), finish()),)))

    got = await ask(endpoint)

    assert got[:2] == [ReasoningDelta("Hmm."), TextDelta("42")]


async def test_models_that_see_answer_in_parts(upstream, endpoint):
    upstream.script(Reply((events(delta([{"text": "4"}, {"text": "2"}]), finish(text=[])),)))

    assert text(await ask(endpoint)) == "42"


async def test_older_models_answer_without_choices(upstream, endpoint):
    pieces = [{"text": "4", "finish_reason": "null"}, {"text": "2", "finish_reason": "stop"}]
    upstream.script(Reply((events(*({"output": each} for each in pieces)),)))

    got = await ask(endpoint)

    assert (text(got), finished(got)) == ("42", Finished("stop", None))


async def test_a_whole_answer_instead_of_a_stream(upstream, endpoint):
    body = json.dumps(finish(text="Hi") | {"code": "", "message": ""}).encode()
    upstream.script(Reply((body,), content_type="application/json"))

    assert await ask(endpoint) == [TextDelta("Hi"), Finished("stop", Usage(7, 2))]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({"input_tokens": 5}, None),
        ({"input_tokens": "5", "output_tokens": 6.0}, None),
        ({"input_tokens": -5, "output_tokens": 10**12}, Usage(-5, 10**12)),
        (
            {
                "input_tokens": 5,
                "output_tokens": 6,
                "prompt_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(5, 6, cached_tokens=4, reasoning_tokens=3),
        ),
    ],
    ids=["none", "half of it", "not whole numbers", "absurd", "with details"],
)
async def test_usage_as_it_is_reported(upstream, endpoint, usage, expected):
    """F13: whether it is believed is decided elsewhere."""
    upstream.script(Reply((events(finish(text="Hi") | {"usage": usage}),)))

    assert finished(await ask(endpoint)).usage == expected


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("new", "stop")],
)
async def test_reasons_to_finish_are_ours(upstream, endpoint, theirs, ours):
    upstream.script(Reply((events(delta("Hi"), finish(theirs)),)))

    assert finished(await ask(endpoint)).reason == ours


@pytest.mark.row("X8")
async def test_unknown_events_drop(upstream, endpoint):
    """X8: events from a provider are data, whatever they call themselves."""
    order = b"event: execute\n" + events(delta("rm -rf")).replace(b"event:result\n", b"")
    odd = events({"output": {"choices": 7}}, {"output": []}, {"request_id": "r"})
    upstream.script(Reply((events(delta("Hi")), order, odd, events(finish()))))

    got = await ask(endpoint)

    assert (reasoning(got), text(got)) == ("", "Hi")


async def test_a_call_of_a_tool_in_pieces(upstream, endpoint):
    upstream.script(tool_call("look", '{"q":', ' "x"}'))

    got = await ask(endpoint, tools=[LOOK])

    assert got[:-1] == [
        ToolCallDelta(0, "call_1", "look", '{"q":'),
        ToolCallDelta(0, arguments=' "x"}'),
    ]
    assert finished(got).reason == "tool_calls"
