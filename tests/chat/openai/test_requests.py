"""What a request may hold: an allow-list, and a name for each thing that is wrong (O9, O10)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from chat.api.openai.requests import read_completion
from common.errors import Invalid

PNG = base64.b64encode(b"\x89PNG" + bytes(60)).decode()
FUNCTION = {"name": "look", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": FUNCTION}]
SCHEMA = {"name": "answer", "strict": True, "schema": {"type": "object"}}


def read(**fields: Any) -> Any:
    return read_completion({"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields)


def said(*content: Any) -> list[Any]:
    return [{"role": "user", "content": list(content)}]


def image(url: Any, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url} | more}


def test_a_conversation_with_tools_and_images_passes_as_it_is():
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}], "name": "house"},
        *said(
            {"type": "text", "text": "What is this?"},
            image("http://127.0.0.1:9/private.png", detail="low"),
            image(f"data:image/png;base64,{PNG}"),
        ),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "A cat."},
        {"role": "assistant", "content": "A cat.", "reasoning_content": "Whiskers."},
    ]

    assert read(messages=messages).messages == messages


def test_what_nobody_knows_is_left_out_wherever_it_stands():
    """O9: whatever a gateway might take for an order to itself."""
    orders = {"api_base": "http://127.0.0.1:9", "extra_headers": {"x": "y"}, "timeout": 5}
    message = {"role": "user", "content": "Hi", "cache_control": {}, **orders}
    tool = {"type": "function", "function": FUNCTION | orders, **orders}

    asked = read(messages=[message], tools=[tool], store=True, metadata={}, **orders)

    assert asked.messages == [{"role": "user", "content": "Hi"}]
    assert asked.parameters == {"tools": TOOLS}


def test_parameters_go_under_the_names_that_providers_know():
    asked = read(
        max_tokens=7,
        max_completion_tokens=9,
        stop="END",
        n=1,
        seed=3,
        logprobs=True,
        top_logprobs=0,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "look"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": SCHEMA},
        logit_bias={"7": 1},
        user="their-42",
    )

    assert asked.parameters == {
        "max_tokens": 9,
        "stop": ["END"],
        "seed": 3,
        "logprobs": True,
        "top_logprobs": 0,
        "tools": TOOLS,
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
        "logit_bias": {"7": 1},
        "user": "their-42",
    }


def test_null_is_not_given_and_what_changes_nothing_is_not_sent():
    nulls = dict.fromkeys(("temperature", "tools", "stop", "user", "stream_options", "n", "stream"))

    assert read(**nulls).parameters == {}
    assert read(tools=[], stop=[], logprobs=False, parallel_tool_calls=True).parameters == {}
    assert read(response_format={"type": "text"}, modalities=["text"]).parameters == {}


CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
WRONG = [
    ("model", {"model": None}),
    ("model", {"model": ""}),
    ("model", {"model": 5}),
    ("messages", {"messages": None}),
    ("messages", {"messages": []}),
    ("messages[0]", {"messages": ["Hi"]}),
    ("messages[0].role", {"messages": [{"role": "function", "content": "x"}]}),
    ("messages[0].role", {"messages": [{"role": [], "content": "x"}]}),
    ("messages[0].content", {"messages": [{"role": "user"}]}),
    ("messages[0].content", {"messages": [{"role": "user", "content": 5}]}),
    ("messages[0].content", {"messages": [{"role": "assistant"}]}),
    ("messages[0].tool_call_id", {"messages": [{"role": "tool", "content": "x"}]}),
    (
        "messages[0].tool_calls[0].function.arguments",
        {
            "messages": [
                {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "look"}}]}
            ]
        },
    ),
    (
        "messages[0].tool_calls[0].type",
        {"messages": [{"role": "assistant", "tool_calls": [CALL | {"type": "custom"}]}]},
    ),
    ("messages[0].content[0].type", {"messages": said({"type": "input_audio"})}),
    ("messages[0].content[0].type", {"messages": said({"type": ["text"]})}),
    (
        "messages[0].content[0].type",
        {"messages": [{"role": "system", "content": [image("https://x.example/a.png")]}]},
    ),
    ("messages[0].content[0].image_url.url", {"messages": said(image("file:///etc/passwd"))}),
    ("messages[0].content[0].image_url.url", {"messages": said(image("https://a b"))}),
    ("messages[0].content[0].image_url.url", {"messages": said(image(5))}),
    (
        "messages[0].content[0].image_url.url",
        {"messages": said(image(f"data:image/svg+xml;base64,{PNG}"))},
    ),
    (
        "messages[0].content[0].image_url.url",
        {"messages": said(image("data:image/png;base64,not base64"))},
    ),
    ("messages[0].content[0].image_url", {"messages": said({"type": "image_url"})}),
    ("n", {"n": 100}),
    ("temperature", {"temperature": 3}),
    ("max_tokens", {"max_tokens": 0}),
    ("max_completion_tokens", {"max_completion_tokens": "many"}),
    ("stop", {"stop": ["a", "b", "c", "d", "e"]}),
    ("tools", {"tools": {}}),
    ("tools[0].type", {"tools": [{"type": "web_search"}]}),
    ("tools[0].function.name", {"tools": [{"type": "function", "function": {}}]}),
    ("tool_choice", {"tool_choice": "required"}),
    (
        "tool_choice",
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}},
    ),
    ("response_format.type", {"response_format": {"type": "grammar"}}),
    ("response_format.json_schema", {"response_format": {"type": "json_schema"}}),
    ("top_logprobs", {"top_logprobs": 2}),
    ("top_logprobs", {"logprobs": True, "top_logprobs": 21}),
    ("logit_bias", {"logit_bias": {"x": 1}}),
    ("reasoning_effort", {"reasoning_effort": "a lot"}),
    ("user", {"user": "u" * 257}),
    ("stream", {"stream": "yes"}),
    ("stream_options.include_usage", {"stream_options": {"include_usage": "yes"}}),
    ("functions", {"functions": [FUNCTION]}),
    ("audio", {"audio": {"voice": "x"}}),
    ("modalities", {"modalities": ["text", "audio"]}),
]


@pytest.mark.parametrize(("field", "fields"), WRONG, ids=[field for field, _fields in WRONG])
def test_what_is_wrong_is_named(field, fields):
    with pytest.raises(Invalid) as refused:
        read(**fields)

    assert list(refused.value.errors or {}) == [field]


@pytest.mark.row("O10")
def test_an_image_may_have_eight_mebibytes_and_no_more():
    """O10."""
    fits, too_large = (base64.b64encode(bytes(size)).decode() for size in (8 << 20, (8 << 20) + 1))

    assert read(messages=said(image(f"data:image/webp;base64,{fits}")))
    with pytest.raises(Invalid, match="8 MiB"):
        read(messages=said(image(f"data:image/webp;base64,{too_large}")))
