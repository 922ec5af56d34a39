"""What decides over the form of an answer is refused where a model minds it, not dropped."""

import pytest

from models_registry.errors import ParameterRefused, PromptTooLong, ProviderRefused
from tests.models_registry import anthropic_wire, dashscope_wire
from tests.models_registry import upstream as openai_wire
from tests.models_registry.asking import ask, ask_until_failure, text
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")

FORM = {"type": "json_schema", "json_schema": {"name": "it", "schema": {"type": "object"}}}
TOOLS = [{"type": "function", "function": {"name": "look"}}]
UNSUPPORTED = {"message": "no", "param": "stop", "code": "unsupported_parameter"}
CASES = [
    ("openai_compatible", openai_wire.refusal(400, UNSUPPORTED), {"stop": ["END"]}, "stop"),
    (
        "anthropic",
        anthropic_wire.refusal(400, "invalid_request_error", "output_config: unknown"),
        {"response_format": FORM},
        "response_format",
    ),
    (
        "dashscope",
        dashscope_wire.refusal(400, message="tool_choice is not supported"),
        {"tools": TOOLS, "tool_choice": "required"},
        "tool_choice",
    ),
]


@pytest.mark.parametrize(("vendor", "no", "fields", "name"), CASES, ids=[case[0] for case in CASES])
async def test_a_strict_request_is_refused_by_name_also_when_it_is_known_before(
    upstream, vendor, no, fields, name
):
    wire = spoken_at(upstream, vendor)
    endpoint = endpoint_at(upstream, vendor)
    upstream.script(no, no, wire.answer("Without it."))

    events, refused = await ask_until_failure(endpoint, strict=True, **fields)
    lenient = await ask(endpoint, **fields)
    asked = len(upstream.chats)
    _none, known = await ask_until_failure(endpoint, strict=True, **fields)

    assert events == []
    assert isinstance(refused, ParameterRefused)
    assert name in str(refused)
    assert text(lenient) == "Without it."
    assert isinstance(known, ParameterRefused)
    assert len(upstream.chats) == asked


async def test_how_an_answer_is_sampled_may_be_left_out_all_the_same(upstream, endpoint):
    no = {"message": "no", "param": "temperature", "code": "unsupported_value"}
    upstream.script(openai_wire.refusal(400, no), openai_wire.answer("Hi"))

    assert text(await ask(endpoint, strict=True, temperature=0.2)) == "Hi"


@pytest.mark.parametrize(
    "no",
    [
        {"message": "no", "code": "context_length_exceeded"},
        {"message": "no", "type": "exceed_context_size_error"},
        {"message": "This model's maximum context length is 8192 tokens."},
    ],
    ids=["openai", "llama.cpp", "vllm"],
)
async def test_a_prompt_that_the_provider_finds_too_long_is_told_as_that(upstream, endpoint, no):
    upstream.script(openai_wire.refusal(400, no))

    _none, strict = await ask_until_failure(endpoint, strict=True)
    _none, lenient = await ask_until_failure(endpoint)

    assert isinstance(strict, PromptTooLong)
    assert type(lenient) is ProviderRefused
