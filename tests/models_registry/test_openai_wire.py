"""An answer over OpenAI's wire, and the forms that servers give it."""

import json
from dataclasses import replace

import pytest

from models_registry.providers.base import Finished, ReasoningDelta, TextDelta, Usage
from models_registry.providers.factory import provider_at
from models_registry.providers.openai import OpenAIProvider
from tests.models_registry.asking import ask, finished, reasoning, request, text
from tests.models_registry.upstream import (
    DONE,
    Reply,
    Wait,
    answer,
    delta,
    finish,
    refusal,
    sse,
    usage,
)

pytestmark = pytest.mark.usefixtures("clients")


async def test_a_plain_answer(upstream, endpoint):
    upstream.script(answer("Hel", "lo", prompt=9, completion=2))

    events = await ask(endpoint)

    assert text(events) == "Hello"
    assert finished(events) == Finished("stop", Usage(9, 2))


async def test_the_request_is_what_the_wire_wants(upstream, endpoint):
    upstream.script(answer("Hi"))

    await ask(
        endpoint,
        max_tokens=50,
        temperature=0.5,
        stop=["END"],
        options={"seed": 7},
        tools=[{"type": "function", "function": {"name": "look"}}],
        tool_choice="auto",
    )

    [sent] = upstream.chats
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.json == {
        "model": "mock",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
        "temperature": 0.5,
        "stop": ["END"],
        "seed": 7,
        "tools": [{"type": "function", "function": {"name": "look"}}],
        "tool_choice": "auto",
    }
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["authorization"] == f"Bearer {endpoint.api_key}"


async def test_options_that_steer_a_gateway_do_not_go_out(upstream, endpoint):
    """O9"""
    orders: dict[str, object] = dict.fromkeys(
        ("api_base", "base_url", "api_key", "extra_headers", "extra_body", "timeout"),
        "http://127.0.0.1:1/",
    )
    orders = orders | {"model": "other", "messages": [], "stream": False, "n": 100}
    upstream.script(answer("Hi"))

    await ask(endpoint, options={"seed": 7, **orders})

    body = upstream.chats[0].json
    assert set(body) == {"model", "messages", "stream", "stream_options", "seed"}
    assert (body["model"], body["stream"], len(body["messages"])) == ("mock", True, 1)


async def test_events_of_one_network_read_become_one_delta(upstream, endpoint):
    one_write = sse(delta("a"), delta("b"), delta("c"), finish(), usage(), DONE)
    upstream.script(Reply((one_write,)))

    events = await ask(endpoint)

    assert events[:-1] == [TextDelta("abc")]


async def test_a_delta_comes_before_the_next_one_is_sent(upstream, endpoint):
    go_on = Wait()
    upstream.script(Reply((sse(delta("first")), go_on, sse(delta("second"), finish(), DONE))))

    stream = provider_at(endpoint, upstream_name="mock").stream(request())
    assert await anext(stream) == TextDelta("first")
    go_on.set()

    assert [event async for event in stream] == [TextDelta("second"), Finished("stop", None)]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ([finish(), usage(5, 6), DONE], Usage(5, 6)),
        ([finish(usage={"prompt_tokens": 5, "completion_tokens": 6}), DONE], Usage(5, 6)),
        ([usage(5, 6), finish(), DONE], Usage(5, 6)),
        ([usage(5, 1), finish(), usage(5, 6), DONE], Usage(5, 6)),
        ([finish(usage=None), DONE], None),
        ([finish(usage={"prompt_tokens": "5", "completion_tokens": 6.0}), DONE], None),
        ([finish(usage={"prompt_tokens": 5}), DONE], None),
        ([finish(usage=[1]), DONE], None),
        ([finish(), usage(-5, 10**12), DONE], Usage(-5, 10**12)),
        (
            [
                finish(),
                usage(
                    5,
                    6,
                    prompt_tokens_details={"cached_tokens": 4},
                    completion_tokens_details={"reasoning_tokens": 3},
                ),
                DONE,
            ],
            Usage(5, 6, cached_tokens=4, reasoning_tokens=3),
        ),
    ],
    ids=[
        "a chunk of its own",
        "in the finish",
        "early",
        "with every chunk",
        "null",
        "not whole numbers",
        "half of it",
        "not an object",
        "absurd",
        "with details",
    ],
)
async def test_usage_wherever_it_stands(upstream, endpoint, tail, expected):
    """F12: believed or not is decided by `tokens.trusted_usage` (F13)."""
    upstream.script(Reply((sse(delta("Hi")), sse(*tail))))

    assert finished(await ask(endpoint)).usage == expected


async def test_empty_choices_and_null_content_are_passed_over(upstream, endpoint):
    upstream.script(
        Reply(
            (
                sse({"choices": []}, {"choices": None}, {"id": "x"}, delta(None), delta("")),
                sse({"choices": [{"index": 0, "delta": None, "finish_reason": None}]}),
                sse({"choices": [{"index": 1, "delta": {"content": "other choice"}}]}),
                sse(delta("Hi"), finish(), DONE),
            )
        )
    )

    assert text(await ask(endpoint)) == "Hi"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
async def test_reasoning_is_kept_apart(upstream, endpoint, field):
    upstream.script(
        Reply(
            (
                sse(delta(None, **{field: "Hm"}), delta(None, **{field: "m."}), delta("42")),
                sse(finish(), DONE),
            )
        )
    )

    events = await ask(endpoint)

    assert events[:2] == [ReasoningDelta("Hmm."), TextDelta("42")]


async def test_content_in_typed_parts(upstream, endpoint):
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [thinking, {"type": "text", "text": "42"}, "noise", {"type": "image"}]
    upstream.script(Reply((sse(delta(parts), finish(), DONE),)))

    events = await ask(endpoint)

    assert (reasoning(events), text(events)) == ("Hm.", "42")


async def test_a_refusal_is_text(upstream, endpoint):
    upstream.script(Reply((sse(delta(None, refusal="I cannot."), finish(), DONE),)))

    assert text(await ask(endpoint)) == "I cannot."


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("eos_token", "stop"),
    ],
)
async def test_reasons_to_finish_are_ours(upstream, endpoint, theirs, ours):
    upstream.script(Reply((sse(delta("Hi"), finish(theirs), DONE),)))

    assert finished(await ask(endpoint)).reason == ours


async def test_a_whole_answer_instead_of_a_stream(upstream, endpoint):
    body = {
        "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    pieces = json.dumps(body).encode()
    upstream.script(Reply((pieces[:20], pieces[20:]), content_type="application/json"))

    events = await ask(endpoint)

    assert events == [TextDelta("Hi"), Finished("stop", Usage(3, 1))]


class TestQuirksOfServers:
    async def test_one_that_refuses_stream_options_is_asked_without_from_then_on(
        self, upstream, endpoint
    ):
        no = {"message": "Unknown field: stream_options", "param": None, "code": None}
        upstream.script(refusal(400, no), answer("Hi"))

        assert text(await ask(endpoint)) == "Hi"
        assert text(await ask(endpoint)) == "Hi"

        assert ["stream_options" in each.json for each in upstream.chats] == [True, False, False]

    async def test_one_that_wants_max_completion_tokens_gets_it(self, upstream, endpoint):
        no = {"message": "Use 'max_completion_tokens' instead.", "code": "unsupported_parameter"}
        upstream.script(refusal(400, no), answer("Hi"))

        await ask(endpoint, max_tokens=50)

        last = upstream.chats[-1].json
        assert last["max_completion_tokens"] == 50
        assert "max_tokens" not in last

    async def test_one_that_takes_no_temperature_gets_none(self, upstream, endpoint):
        no = {"message": "no", "param": "temperature", "code": "unsupported_value"}
        upstream.script(refusal(400, no), answer("Hi"))

        await ask(endpoint, temperature=0.2)

        assert "temperature" not in upstream.chats[-1].json

    async def test_openai_itself_is_asked_by_the_new_name(self, endpoint):
        there = replace(endpoint, base_url="https://api.openai.com/v1")
        provider = OpenAIProvider(there, upstream_name="gpt")

        body = provider._body(request(max_tokens=9), refused=set())  # noqa: SLF001 no network

        assert body["max_completion_tokens"] == 9


@pytest.mark.row("X8")
async def test_unknown_event_types_drop(upstream, endpoint):
    """X8: events from a provider are data, whatever they call themselves."""
    order = b"event: execute\n" + sse(delta("rm -rf"))
    upstream.script(Reply((sse(delta("Hi")), order, sse(finish(), DONE))))

    assert text(await ask(endpoint)) == "Hi"
