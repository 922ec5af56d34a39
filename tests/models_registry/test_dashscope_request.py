"""What is asked over DashScope's wire, at which of its two paths, and its list of models."""

import json
import sys
from dataclasses import replace

import pytest

from models_registry.errors import ProviderRefused
from models_registry.providers.factory import provider_at
from tests.models_registry.asking import ask, ask_until_failure, request, text
from tests.models_registry.dashscope_wire import (
    answer,
    error,
    events,
    model_list,
    refusal,
)
from tests.models_registry.upstream import Reply
from tests.models_registry.upstream import model_list as compatible_list
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")

LOOK = {"type": "function", "function": {"name": "look"}}
TEXT = "/api/v1/services/aigc/text-generation/generation"
MULTIMODAL = "/api/v1/services/aigc/multimodal-generation/generation"
WRONG_PATH = "url error, please check url"


@pytest.fixture
def endpoint(upstream):
    spoken_at(upstream, "dashscope")
    root = upstream.url.removesuffix("/v1")
    return replace(endpoint_at(upstream, "dashscope"), base_url=f"{root}/api/v1")


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

        await ask(
            endpoint,
            max_tokens=50,
            temperature=2.0,
            top_p=0.9,
            stop=["END"],
            tools=[LOOK],
            tool_choice="auto",
            response_format={"type": "json_object"},
            options={"seed": 7, "reasoning_effort": "high"},
        )

        [sent] = upstream.chats
        assert (sent.method, sent.path) == ("POST", TEXT)
        assert sent.json == {
            "model": "mock",
            "input": {"messages": [{"role": "user", "content": "Hello"}]},
            "parameters": {
                "result_format": "message",
                "incremental_output": True,
                "max_tokens": 50,
                "temperature": 1.99,
                "top_p": 0.9,
                "stop": ["END"],
                "tools": [LOOK],
                "tool_choice": "auto",
                "response_format": {"type": "json_object"},
                "seed": 7,
                "enable_thinking": True,
            },
        }
        assert sent.headers["x-dashscope-sse"] == "enable"
        assert sent.headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("path", ["", "/api/v1", "/compatible-mode/v1"])
    async def test_goes_to_one_place_whatever_address_was_at_hand(self, upstream, endpoint, path):
        upstream.script(answer("Hi"))

        await ask(replace(endpoint, base_url=endpoint.base_url.removesuffix("/api/v1") + path))

        assert upstream.chats[0].path == TEXT

    async def test_messages_are_written_as_there(self, asked):
        call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        body = await asked(
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "found"},
            ]
        )

        assert body["input"]["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "ab"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "found"},
        ]

    async def test_options_that_steer_a_gateway_do_not_go_out(self, asked):
        """O9; the SDK would take some of them for its own arguments."""
        names = ("api_base", "base_address", "api_key", "headers", "session", "workspace", "task")

        body = await asked(options=dict.fromkeys(names, "x") | {"n": 9, "enable_search": True})

        assert set(body) == {"model", "input", "parameters"}
        assert set(body["parameters"]) == {"result_format", "incremental_output"}


class TestTheTwoPaths:
    async def test_images_go_to_models_that_see(self, upstream, endpoint):
        """O10: an address goes as text, and no file of ours goes at all."""
        upstream.script(answer("Hi"))
        urls = ["data:image/png;base64,QUJD", "http://127.0.0.1:1/x.png", "file:///etc/hostname"]
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]

        await ask(
            endpoint,
            messages=[{"role": "user", "content": [*parts, {"type": "text", "text": "?"}]}],
        )

        [sent] = upstream.chats
        assert sent.path == MULTIMODAL
        assert sent.json["input"]["messages"][0]["content"] == [
            *({"image": url} for url in urls),
            {"text": "?"},
        ]

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("qwen-plus", TEXT),
            ("qwen3-max", TEXT),
            ("deepseek-v3.2", TEXT),
            ("qwen3-vl-plus", MULTIMODAL),
            ("qwen3.5-plus", MULTIMODAL),
            ("Qwen3.8-Max", MULTIMODAL),
        ],
    )
    async def test_a_name_says_where_to_begin(self, upstream, endpoint, name, path):
        upstream.script(answer("Hi"))

        provider = provider_at(endpoint, upstream_name=name)
        assert [each async for each in provider.stream(request())]

        assert upstream.chats[0].path == path

    @pytest.mark.parametrize(
        "wrong",
        [
            refusal(400, message=WRONG_PATH),
            Reply((events(error("InvalidParameter", WRONG_PATH), status=400),)),
        ],
        ids=["as a status", "as an event"],
    )
    async def test_the_other_one_is_tried_and_remembered(self, upstream, endpoint, wrong):
        upstream.script(wrong, answer("Hi"))

        assert text(await ask(endpoint)) == "Hi"
        assert text(await ask(endpoint)) == "Hi"

        assert [each.path for each in upstream.chats] == [TEXT, MULTIMODAL, MULTIMODAL]

    async def test_a_model_that_is_at_neither_is_told(self, upstream, endpoint):
        upstream.script(refusal(400, message=WRONG_PATH))

        _events, failure = await ask_until_failure(endpoint)

        assert type(failure) is ProviderRefused
        assert len(upstream.chats) == 2


async def test_what_a_model_does_not_take_is_left_out_from_then_on(upstream, endpoint):
    no = "parameter.enable_thinking only support streaming call / must be set to false"
    upstream.script(refusal(400, "InvalidParameter", no), answer("Hi"))

    for _ in range(2):
        assert text(await ask(endpoint, options={"reasoning_effort": "low"})) == "Hi"

    sent = ["enable_thinking" in each.json["parameters"] for each in upstream.chats]
    assert sent == [True, False, False]


class TestTheList:
    async def test_is_read_to_its_end(self, upstream, endpoint):
        def page(names):
            second = "page_no=2" in upstream.requests[-1].path
            body = model_list(names[100:] if second else names[:100])
            body["output"]["total"] = len(names)
            return body

        upstream.models, upstream.model_list = [f"qwen-{n}" for n in range(150)], page

        assert await provider_at(endpoint).list_models() == upstream.models
        assert [each.path for each in upstream.requests] == [
            f"/api/v1/models?page_no={n}&page_size=100" for n in (1, 2)
        ]

    async def test_that_never_ends_is_left(self, upstream, endpoint):
        upstream.model_list = lambda names: {"output": {"models": [{"model": "qwen"}], "total": 9}}

        assert await provider_at(endpoint).list_models() == ["qwen"]

        assert len(upstream.requests) == 2

    async def test_is_asked_for_in_the_compatible_mode_where_there_is_none(
        self, upstream, endpoint, monkeypatch
    ):
        listing = Reply(
            (json.dumps(compatible_list(["qwen-plus"])).encode(),), content_type="application/json"
        )
        replies = [refusal(404, "NotFound"), listing]
        monkeypatch.setattr(upstream, "_reply_to", lambda _request: replies.pop(0))

        assert await provider_at(endpoint).list_models() == ["qwen-plus"]
        assert upstream.requests[1].path == "/compatible-mode/v1/models"

    @pytest.mark.parametrize("body", [b"[]", b"{}", b'{"output": 7}', b"<html>", b'{"data": [{}]}'])
    async def test_that_is_none_is_told(self, upstream, endpoint, body):
        upstream.list_reply = Reply((body,), content_type="application/json")

        with pytest.raises(Exception, match="not understood"):
            await provider_at(endpoint).list_models()


async def test_the_sdk_keeps_no_session_of_its_own(upstream, endpoint):
    """O1: it would connect without the guard, and through the environment's proxies."""
    upstream.script(answer("Hi"))
    await ask(endpoint)

    sessions = sys.modules["dashscope.api_entities.aio_session"]._aio_sessions  # noqa: SLF001

    assert len(sessions) == 0
