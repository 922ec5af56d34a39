"""What is asked over Anthropic's wire, and what of it a model does not take."""

from dataclasses import replace

import pytest

from models_registry.providers.anthropic import MAX_TOKENS
from models_registry.providers.factory import provider_at
from tests.models_registry.anthropic_wire import (
    answer,
    model_list,
    refusal,
)
from tests.models_registry.asking import ask, request, text
from tests.models_registry.upstream import Reply
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")


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


class TestTheRequest:
    async def test_is_what_the_wire_wants(self, upstream, endpoint):
        upstream.script(answer("Hi"))

        await ask(endpoint, max_tokens=50, stop=["END", " "], options={"user": "u", "seed": 7})

        [sent] = upstream.chats
        assert (sent.method, sent.path) == ("POST", "/v1/messages")
        assert sent.json == {
            "model": "mock",
            "stream": True,
            "max_tokens": 50,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
            "stop_sequences": ["END"],
            "metadata": {"user_id": "u"},
        }
        assert sent.headers["accept-encoding"] == "identity"
        assert sent.headers["anthropic-version"] == "2026-10-21"

    @pytest.mark.parametrize("path", ["", "/v1"])
    async def test_goes_to_one_place_with_and_without_the_version(self, upstream, endpoint, path):
        upstream.script(answer("Hi"))

        await ask(replace(endpoint, base_url=upstream.url.removesuffix("/v1") + path))

        assert upstream.chats[0].path == "/v1/messages"

    async def test_system_prompts_stand_beside_the_messages(self, asked):
        body = await asked(
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                {"role": "user", "content": "Hello"},
            ]
        )

        assert body["system"] == "Be brief.\n\nBe kind."
        assert [each["role"] for each in body["messages"]] == ["user"]

    async def test_turns_alternate_and_begin_with_the_user(self, asked):
        body = await asked(
            messages=[
                {"role": "assistant", "content": "I was cut off"},
                {"role": "assistant", "content": " "},
                {"role": "user", "content": "One"},
                {"role": "user", "content": "Two"},
            ]
        )

        said = [
            (each["role"], [part["text"] for part in each["content"]]) for each in body["messages"]
        ]
        assert said == [
            ("user", ["…"]),
            ("assistant", ["I was cut off"]),
            ("user", ["One", "Two"]),
        ]

    @pytest.mark.row("O10")
    async def test_images_go_as_data_or_as_their_address(self, asked):
        """O10: nothing is fetched here."""
        urls = ["data:image/png;base64,QUJD", "http://127.0.0.1:1/x.png"]
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        body = await asked(messages=[{"role": "user", "content": [*parts, {"type": "text"}]}])

        assert [part["source"] for part in body["messages"][0]["content"]] == [
            {"type": "base64", "media_type": "image/png", "data": "QUJD"},
            {"type": "url", "url": "http://127.0.0.1:1/x.png"},
        ]

    async def test_without_a_limit_the_models_own_is_sent(self, upstream, endpoint):
        upstream.script(answer("Hi"))
        for most in (64_000, None):
            provider = provider_at(endpoint, upstream_name="mock", max_output_tokens=most)
            assert [each async for each in provider.stream(request())]

        assert [each.json["max_tokens"] for each in upstream.chats] == [64_000, MAX_TOKENS]

    async def test_sampling_goes_with_the_version_that_takes_it(self, upstream, endpoint):
        """The newer one answers 400 to `temperature` and `top_p`, for every model."""
        upstream.script(answer("Hi"))

        await ask(endpoint, temperature=1.5, top_p=0.9)

        [sent] = upstream.chats
        assert (sent.json["temperature"], sent.json["top_p"]) == (1.0, 0.9)
        assert sent.headers["anthropic-version"] == "2023-06-01"

    @pytest.mark.parametrize(
        ("effort", "thinking", "config"),
        [
            ("none", {"type": "disabled"}, None),
            ("minimal", {"type": "adaptive", "display": "summarized"}, {"effort": "low"}),
            ("high", {"type": "adaptive", "display": "summarized"}, {"effort": "high"}),
        ],
    )
    async def test_effort_to_reason(self, asked, effort, thinking, config):
        body = await asked(options={"reasoning_effort": effort})

        assert (body["thinking"], body.get("output_config")) == (thinking, config)

    async def test_a_schema_for_the_answer(self, asked):
        schema = {"type": "object"}
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

        body = await asked(response_format=wanted)

        assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}

    async def test_options_that_steer_a_gateway_do_not_go_out(self, asked):
        """O9"""
        orders = dict.fromkeys(("api_base", "base_url", "api_key", "extra_headers", "timeout"), "x")

        body = await asked(options=orders | {"model": "other", "messages": [], "n": 9})

        assert set(body) == {"model", "stream", "max_tokens", "messages"}
        assert (body["model"], len(body["messages"])) == ("mock", 1)


class TestWhatAModelDoesNotTake:
    @pytest.mark.parametrize(
        ("message", "fields", "gone"),
        [
            ("temperature is deprecated for this model.", {"temperature": 0.2}, "temperature"),
            (
                "`temperature` and `top_p` cannot both be specified for this model.",
                {"temperature": 0.2, "top_p": 0.9},
                "top_p",
            ),
            (
                "adaptive thinking is not supported on this model",
                {"options": {"reasoning_effort": "high"}},
                "thinking",
            ),
            (
                "This model does not support the effort parameter.",
                {"options": {"reasoning_effort": "high"}},
                "output_config",
            ),
        ],
    )
    async def test_is_left_out_from_then_on(self, upstream, endpoint, message, fields, gone):
        upstream.script(refusal(400, message=message), answer("Hi"))

        assert text(await ask(endpoint, **fields)) == "Hi"
        assert text(await ask(endpoint, **fields)) == "Hi"

        assert [gone in each.json for each in upstream.chats] == [True, False, False]

    async def test_too_high_a_limit_becomes_a_lower_one(self, upstream, endpoint):
        no = "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens"
        upstream.script(refusal(400, message=no), answer("Hi"))

        assert text(await ask(endpoint)) == "Hi"

        assert [each.json["max_tokens"] for each in upstream.chats] == [MAX_TOKENS, 4_096]

    async def test_what_is_wrong_otherwise_is_told(self, upstream, endpoint):
        upstream.script(refusal(400, message="messages: at least one message is required"))

        with pytest.raises(Exception, match="refused"):
            await ask(endpoint)

        assert len(upstream.chats) == 1


class TestTheList:
    async def test_is_read_to_its_end(self, upstream, endpoint):
        asked = []

        def page(names):
            request = upstream.requests[-1]
            asked.append(request.path)
            rest = names[1:] if "after_id" in request.path else names[:1]
            return model_list(rest) | {"has_more": "after_id" not in request.path}

        upstream.models, upstream.model_list = ["claude-a", "claude-b", "claude-c"], page

        assert await provider_at(endpoint).list_models() == ["claude-a", "claude-b", "claude-c"]
        assert asked == ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=claude-a"]

    async def test_that_never_ends_is_left(self, upstream, endpoint):
        upstream.model_list = lambda names: model_list(names) | {"has_more": True}

        assert await provider_at(endpoint).list_models() == upstream.models

        assert len(upstream.requests) == 2

    @pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data": 7}', b"<html>", b'{"data": [{}]}'])
    async def test_that_is_none_is_told(self, upstream, endpoint, body):
        upstream.list_reply = Reply((body,), content_type="application/json")

        with pytest.raises(Exception, match="not understood"):
            await provider_at(endpoint).list_models()
