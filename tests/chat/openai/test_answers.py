"""What `/v1/chat/completions` answers: whole, and in chunks."""

from __future__ import annotations

import json
import time

import pytest
from django.apps import apps

from chat.models import Conversation, Message, Turn
from common.db import in_thread
from common.sse import dump_line
from models_registry.errors import ProviderCut, ProviderFailed, ProviderRefused, ProviderTimeout
from models_registry.providers.base import (
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate
from tests.chat.openai.conftest import chunks, error_of
from tests.waiting import until

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
CALLS = (
    ToolCallDelta(0, id="call_a", name="look"),
    ToolCallDelta(0, arguments='{"at":'),
    ToolCallDelta(0, arguments='"x"}'),
    ToolCallDelta(1, id="call_b", name="look", arguments="{}"),
)
ENTRIES = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]


async def test_a_whole_answer_is_a_chat_completion(ask, script):
    script(TextDelta("Hel"), TextDelta("lo"), Finished("length", Usage(60, 20)))
    before = int(time.time())

    request = ask()
    answer = await request.json()

    assert request.status == 200
    assert request.headers["content-type"] == "application/json"
    assert answer.pop("id").startswith("chatcmpl-")
    assert before <= answer.pop("created") <= time.time()
    assert answer == {
        "object": "chat.completion",
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            }
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80},
    }


async def test_a_chunk_that_is_put_together_by_hand_is_one_that_is_written_whole(ask, script):
    """To the byte: its head is made once, whatever the model is called and whatever it says."""
    odd = 'a "quote", a \\ and a \u2028 of 名前 \U0001f600'
    script(
        ReasoningDelta(odd), TextDelta(odd), *CALLS, LogprobsDelta(ENTRIES), Finished("stop", None)
    )

    answer = await ask(stream=True, logprobs=True, tools=TOOLS).read()

    lines = [each.removeprefix(b"data: ") for each in answer.split(b"\n\n")]
    whole = [line for line in lines if line[:1] == b"{"]
    assert len(whole) == 9
    for line in whole:
        body = json.loads(line)
        assert dump_line(body) == line
        assert list(body) == ["id", "object", "created", "model", "choices"]
        assert body["model"] == "echo"


async def test_a_stream_begins_with_the_role_and_ends_with_an_empty_delta(ask, script):
    script(TextDelta("Hel"), TextDelta("lo"), Finished("stop", Usage(60, 20)))

    found = await chunks(ask(stream=True))

    assert len({(each["id"], each["created"], each["object"]) for each in found[:-1]}) == 1
    assert [each["choices"][0] for each in found[:-1]] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None},
        {"index": 0, "delta": {"content": "Hel"}, "finish_reason": None},
        {"index": 0, "delta": {"content": "lo"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]


async def test_usage_comes_in_a_chunk_of_its_own_where_it_is_asked_for(ask, script):
    script(TextDelta("Hello"), Finished("stop", Usage(60, 20)))

    found = await chunks(ask(stream=True, stream_options={"include_usage": True}))

    assert found[-2]["choices"] == []
    assert found[-2]["usage"] == {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}
    assert found[-3]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
async def test_why_the_model_ended_is_told(ask, script, reason):
    script(TextDelta("Hello"), Finished(reason))
    script(TextDelta("Hello"), Finished(reason))

    whole = await ask().json()
    streamed = await chunks(ask(stream=True))

    assert whole["choices"][0]["finish_reason"] == reason
    assert streamed[-2]["choices"][0]["finish_reason"] == reason


@pytest.mark.row("P7")
async def test_calls_of_tools_pass_through_and_nothing_runs_here(ask, script):
    script(*CALLS, Finished("tool_calls"))
    script(*CALLS, Finished("tool_calls"))

    whole = (await ask(tools=TOOLS, tool_choice="required").json())["choices"][0]
    streamed = await chunks(ask(tools=TOOLS, stream=True))

    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] is None
    assert [(call["id"], call["type"]) for call in whole["message"]["tool_calls"]] == [
        ("call_a", "function"),
        ("call_b", "function"),
    ]
    assert whole["message"]["tool_calls"][0]["function"] == {
        "name": "look",
        "arguments": '{"at":"x"}',
    }
    pieces = [
        piece
        for each in streamed[:-1]
        for piece in each["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert pieces[0] == {
        "index": 0,
        "id": "call_a",
        "type": "function",
        "function": {"name": "look", "arguments": ""},
    }
    assert pieces[1:3] == [
        {"index": 0, "function": {"arguments": '{"at":'}},
        {"index": 0, "function": {"arguments": '"x"}'}},
    ]
    assert (pieces[3]["index"], pieces[3]["id"]) == (1, "call_b")
    assert streamed[-2]["choices"][0]["finish_reason"] == "tool_calls"
    asked = script.requests[0][1]
    assert (asked.tools, asked.tool_choice) == (TOOLS, "required")
    assert len(script.requests) == 2


async def test_thoughts_come_beside_the_text(ask, script):
    for _ in range(2):
        script(ReasoningDelta("Hm."), TextDelta("Hello"), Finished("stop"))

    whole = (await ask().json())["choices"][0]["message"]
    streamed = await chunks(ask(stream=True))

    assert (whole["reasoning_content"], whole["content"]) == ("Hm.", "Hello")
    assert streamed[1]["choices"][0]["delta"] == {"reasoning_content": "Hm."}


async def test_how_likely_the_words_were_is_told_to_who_asks(ask, script):
    for _ in range(3):
        script(TextDelta("Hi"), LogprobsDelta(ENTRIES), Finished("stop"))

    whole = (await ask(logprobs=True, top_logprobs=2).json())["choices"][0]
    streamed = await chunks(ask(logprobs=True, stream=True))
    unasked = (await ask().json())["choices"][0]

    assert whole["logprobs"] == {"content": ENTRIES, "refusal": None}
    told = [each["choices"][0].get("logprobs") for each in streamed[:-1]]
    assert [each for each in told if each] == [{"content": ENTRIES, "refusal": None}]
    assert unasked["logprobs"] is None
    assert script.requests[0][1].options["top_logprobs"] == 2


async def test_it_is_charged_like_any_turn_and_stored_as_no_conversation(ask, script):
    script(TextDelta("Canary-out"), Finished("stop", Usage(60, 20)))

    await ask(messages=[{"role": "user", "content": "Canary-in"}], user="their-42").read()

    record = await in_thread(UsageRecord.objects.get)()
    assert (record.purpose, record.prompt_tokens, record.completion_tokens) == ("v1", 60, 20)
    assert (await in_thread(Hold.objects.get)()).status == Hold.Status.SETTLED
    assert record.attribution == "their-42"
    assert script.requests[0][1].options["user"] == "their-42"
    assert not await in_thread(Conversation.objects.exists)()
    assert not await in_thread(Message.objects.exists)()
    assert "Canary" not in await in_thread(_everything_stored)()


def _everything_stored():
    return repr(
        [
            list(model._default_manager.values())  # noqa: SLF001 documented
            for app in ("chat", "quotas")
            for model in apps.get_app_config(app).get_models()
        ]
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "tries"), [(ProviderRefused(), 1), (ProviderFailed(), 2), (ProviderTimeout(), 2)]
)
async def test_a_failure_before_the_first_word_is_502(ask, script, stream, failure, tries):
    for _ in range(tries):
        script(failure)

    request = ask(stream=stream)
    error = await error_of(request, 502)

    assert (error["type"], error["code"]) == ("upstream_error", "upstream_error")
    assert request.headers["x-should-retry"] == "false"
    assert len(script.requests) == tries


@pytest.mark.row("E10")
@pytest.mark.parametrize("failure", [ProviderRefused(), ProviderCut()])
async def test_a_failure_after_the_first_word_is_a_frame_and_then_the_end(ask, script, failure):
    """E10: the provider's word against it, and a connection that broke."""
    script(TextDelta("Some text"), failure)

    found = await chunks(ask(stream=True))

    assert found[1]["choices"][0]["delta"] == {"content": "Some text"}
    assert found[-2]["error"]["code"] == "upstream_error"
    assert not any(each["choices"][0]["finish_reason"] for each in found[:-2])


async def test_half_an_answer_is_no_answer_to_who_waits_for_the_whole(ask, script):
    script(TextDelta("Some text"), ProviderCut())

    assert (await error_of(ask(), 502))["code"] == "upstream_error"


async def test_a_stream_begins_without_a_word_once_proxies_lose_patience(ask, script, settings):
    settings.STREAM_COMMENT_SECONDS = 0.05
    gate = Gate()
    script(gate, ProviderFailed())
    script(ProviderFailed())

    request = ask(stream=True)
    assert await request.begun() == 200
    first = await request.chunk()
    gate.open()
    rest = await request.read()

    assert b'"role":"assistant"' in first
    assert b'"upstream_error"' in rest
    assert rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_model_and_is_charged(ask, script, settings, stream):
    settings.WATCH_SECONDS = 0.01
    script(TextDelta("Said to one who left"), Gate())

    request = ask(stream=stream)
    if stream:
        assert b"assistant" in await request.chunk()
    await in_thread(until)(lambda: script.requests, "the model is asked")
    await request.leave()
    await in_thread(until)(UsageRecord.objects.exists, "it is settled")

    assert script.closed_early == 1
    turn = await in_thread(Turn.objects.get)()
    assert (turn.purpose, turn.status) == ("v1", "stopped")
    record = await in_thread(UsageRecord.objects.get)()
    assert record.estimated
    assert record.prompt_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_key_is_the_same_answer(ask, script, stream):
    script(*CALLS, Finished("tool_calls", Usage(60, 20)))
    key = {"Idempotency-Key": "k"}

    first = await ask(tools=TOOLS, headers=key).json()
    again = ask(tools=TOOLS, headers=key, stream=stream)
    other = ask(tools=TOOLS, headers=key, n=1, seed=5)

    if stream:
        found = await chunks(again)
        assert found[0]["id"] == first["id"]
        assert found[-2]["choices"][0]["finish_reason"] == "tool_calls"
    else:
        assert await again.json() == first
    error = await error_of(other, 409)
    assert error["code"] == "idempotency_conflict"
    assert other.headers["x-should-retry"] == "false"
    assert len(script.requests) == 1
