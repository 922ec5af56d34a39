"""An answer over Anthropic's wire, and calls of tools."""

import json
from typing import Any

import pytest

from models_registry.providers.base import (
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models_registry.providers.factory import provider_at
from tests.models_registry.anthropic_wire import (
    PING,
    STOP,
    answer,
    block,
    block_stop,
    delta,
    end,
    events,
    start,
    tool_call,
)
from tests.models_registry.asking import ask, finished, reasoning, request, text
from tests.models_registry.upstream import Reply, Wait
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")

LOOK = {"type": "function", "function": {"name": "look", "description": "Look it up."}}


@pytest.fixture
def endpoint(upstream):
    spoken_at(upstream, "anthropic")
    return endpoint_at(upstream, "anthropic")


@pytest.fixture
def asked(upstream, endpoint):
    """`await asked(…)`: the body that such a request sends."""

    async def ask_for(**fields):
        upstream.script(answer("Hi"))
        await ask(endpoint, **fields)
        return upstream.chats[-1].json

    return ask_for


async def test_a_plain_answer(upstream, endpoint):
    upstream.script(answer("Hel", "lo", prompt=9, completion=2))

    got = await ask(endpoint)

    assert text(got) == "Hello"
    assert finished(got) == Finished("stop", Usage(9, 2))


async def test_a_delta_comes_before_the_next_one_is_sent(upstream, endpoint):
    go_on = Wait()
    first = events(start(), block(), delta("first"))
    upstream.script(Reply((first, go_on, events(delta("second"), end(), STOP))))

    stream = provider_at(endpoint, upstream_name="mock").stream(request())
    assert await anext(stream) == TextDelta("first")
    go_on.set()

    assert [each async for each in stream] == [TextDelta("second"), Finished("stop", Usage(7, 2))]


async def test_thoughts_are_kept_apart(upstream, endpoint):
    signature = {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta"}}
    thoughts = events(
        start(), block("thinking", thinking=""), delta(thinking="Hm"), delta(thinking="m.")
    )
    rest = events(
        signature, block_stop(), block(index=1), delta("42", 1), block_stop(1), end(), STOP
    )
    upstream.script(Reply((thoughts + rest,)))

    got = await ask(endpoint)

    assert got[:2] == [ReasoningDelta("Hmm."), TextDelta("42")]


async def test_thoughts_that_the_vendor_hides_are_passed_over(upstream, endpoint):
    hidden = block("redacted_thinking", data="sealed")
    rest = events(block_stop(), block(index=1), delta("42", 1), block_stop(1), end(), STOP)
    upstream.script(Reply((events(start(), hidden) + rest,)))

    got = await ask(endpoint)

    assert (reasoning(got), text(got)) == ("", "42")


async def test_usage_counts_the_cache_into_the_prompt(upstream, endpoint):
    """The three kinds of prompt tokens are apart there; others count them as one."""
    begun = start(5, cache_read_input_tokens=100, cache_creation_input_tokens=20)
    details = {"output_tokens_details": {"thinking_tokens": 4}}
    upstream.script(
        Reply((events(begun, block(), delta("Hi"), end(completion=9, **details), STOP),))
    )

    usage = finished(await ask(endpoint)).usage

    assert usage == Usage(125, 9, cached_tokens=100, reasoning_tokens=4)


@pytest.mark.parametrize(
    ("begun", "ended", "expected"),
    [
        (start(), end() | {"usage": None}, None),
        (start(), end() | {"usage": {"output_tokens": "2"}}, None),
        (start() | {"message": {}}, end(), None),
        (start(), end(completion=10**12), Usage(7, 10**12)),
        (start(-5), end(), Usage(-5, 2)),
        (start(), end(input_tokens=8, cache_read_input_tokens=None), Usage(8, 2)),
    ],
    ids=["none at the end", "no number", "none at the start", "absurd", "negative", "corrected"],
)
async def test_usage_as_it_is_reported(upstream, endpoint, begun, ended, expected):
    """F13: whether it is believed is decided elsewhere."""
    upstream.script(Reply((events(begun, block(), delta("Hi"), ended, STOP),)))

    assert finished(await ask(endpoint)).usage == expected


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
async def test_reasons_to_finish_are_ours(upstream, endpoint, theirs, ours):
    upstream.script(Reply((events(start(), block(), delta("Hi"), end(theirs), STOP),)))

    assert finished(await ask(endpoint)).reason == ours


async def test_a_whole_answer_instead_of_a_stream(upstream, endpoint):
    message = start(3)["message"] | {
        "content": [
            {"type": "thinking", "thinking": "Hm."},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"q": "x"}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    upstream.script(Reply((json.dumps(message).encode(),), content_type="application/json"))

    assert await ask(endpoint) == [
        ReasoningDelta("Hm."),
        TextDelta("Hi"),
        ToolCallDelta(0, "t1", "look", '{"q":"x"}'),
        Finished("tool_calls", Usage(3, 1)),
    ]


@pytest.mark.row("X8")
async def test_unknown_events_drop(upstream, endpoint):
    """X8: events from a provider are data, whatever they call themselves."""
    order = {"type": "execute", "delta": {"type": "text_delta", "text": "rm -rf"}}
    odd = {"type": "content_block_delta", "index": 0, "delta": {"type": "new", "text": "?"}}
    upstream.script(Reply((events(start(), block(), delta("Hi"), PING, order, odd, end(), STOP),)))

    assert text(await ask(endpoint)) == "Hi"


class TestToolCalls:
    async def test_in_pieces(self, upstream, endpoint):
        upstream.script(tool_call("look", "", '{"q":', ' "x"}', index=1))

        got = await ask(endpoint, tools=[LOOK])

        assert got[0] == ToolCallDelta(0, "toolu_1", "look", "")
        assert "".join(each.arguments for each in got[:-1]) == '{"q": "x"}'
        assert finished(got).reason == "tool_calls"

    async def test_without_arguments_it_is_json_all_the_same(self, upstream, endpoint):
        upstream.script(tool_call("look", ""))

        got = await ask(endpoint, tools=[LOOK])

        assert "".join(each.arguments for each in got[:-1]) == "{}"

    async def test_two_at_once(self, upstream, endpoint):
        calls = [
            each
            for index, name in ((1, "one"), (2, "two"))
            for each in (
                block("tool_use", index, id=f"t{index}", name=name, input={}),
                delta(partial_json="{}", index=index),
                block_stop(index),
            )
        ]
        upstream.script(Reply((events(start(), *calls, end("tool_use"), STOP),)))

        got = await ask(endpoint, tools=[LOOK])

        named = [(each.index, each.id, each.name) for each in got[:-1] if each.name]
        assert named == [(0, "t1", "one"), (1, "t2", "two")]

    async def test_calls_and_results_go_back_as_blocks(self, asked):
        call: dict[str, Any] = {"id": "call:1", "type": "function"}
        call["function"] = {"name": "look", "arguments": '{"q": "x"}'}
        broken = call | {"id": "2", "function": {"name": "look", "arguments": "{"}}
        body = await asked(
            tools=[LOOK],
            messages=[
                {"role": "user", "content": "Find it"},
                {"role": "assistant", "content": None, "tool_calls": [call, broken]},
                {"role": "tool", "tool_call_id": "call:1", "content": "found"},
                {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "no"}]},
                {"role": "user", "content": "And?"},
            ],
        )

        assert body["messages"][1:] == [
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "look", "input": {"q": "x"}},
                    {"type": "tool_use", "id": "2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "found"},
                    {"type": "tool_result", "tool_use_id": "2", "content": "no"},
                    {"type": "text", "text": "And?"},
                ],
            },
        ]

    @pytest.mark.parametrize(
        ("choice", "options", "expected"),
        [
            (None, {}, None),
            ("auto", {}, {"type": "auto"}),
            ("none", {}, {"type": "none"}),
            ("required", {}, {"type": "any"}),
            (
                {"type": "function", "function": {"name": "look"}},
                {},
                {"type": "tool", "name": "look"},
            ),
            (
                None,
                {"parallel_tool_calls": False},
                {"type": "auto", "disable_parallel_tool_use": True},
            ),
        ],
    )
    async def test_the_choice_of_a_tool(self, asked, choice, options, expected):
        body = await asked(tools=[LOOK], tool_choice=choice, options=options)

        assert body.get("tool_choice") == expected
        assert body["tools"] == [
            {"name": "look", "description": "Look it up.", "input_schema": {"type": "object"}}
        ]
