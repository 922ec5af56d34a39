"""What `/v1` refuses before a turn exists, in the words that OpenAI's clients know."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from accounts.services import api_keys
from chat.models import Turn
from common import lifecycle
from common.db import in_thread
from models_registry.providers.base import Finished, TextDelta, Usage
from quotas.models import Hold
from tests.asgi import Request
from tests.chat.conftest import make_model
from tests.chat.openai.conftest import COMPLETIONS, HI, error_of
from tests.quotas.rows import limited

TOOLS = [{"type": "function", "function": {"name": "look", "description": "d " * 500}}]
IMAGE = [
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}],
    }
]


async def no_turn(request, status=400):
    """Its error; and nothing began."""
    error = await error_of(request, status)
    assert not await in_thread(Turn.objects.exists)()
    assert not await in_thread(Hold.objects.exists)()
    return error


@pytest.fixture
def known(ask):
    """Models of which the table knows what they can do, one of them at Anthropic's."""
    made = make_model("gpt-3.5-turbo", capabilities=["tools"], max_output_tokens=4_096)
    claude = make_model("claude", capabilities=["tools", "vision"])
    claude.connection.provider = "anthropic"
    claude.connection.save()
    return made


async def test_a_prompt_longer_than_the_window_is_named_so(ask, script):
    long = [{"role": "user", "content": "word " * 9_000}]

    error = await no_turn(ask(messages=long))

    assert (error["type"], error["code"], error["param"]) == (
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    )
    assert "8192" in error["message"]
    assert script.requests == []


async def test_the_answer_that_is_asked_for_needs_room_too(ask, script):
    script(TextDelta("Hi"), Finished("stop"))
    almost = ask(max_tokens=8_192)

    assert (await no_turn(almost))["code"] == "context_length_exceeded"
    assert (await ask(max_tokens=8_100).json())["object"] == "chat.completion"


@pytest.mark.row("R9")
async def test_schemas_of_tools_need_room_and_are_held(ask, script):
    script(TextDelta("Hi"), Finished("stop"))
    script(TextDelta("Hi"), Finished("stop"))
    await ask().read()
    await ask(tools=TOOLS).read()

    plain, with_tools = [each.tokens async for each in Hold.objects.order_by("id")]

    assert with_tools - plain > 500
    assert (await error_of(ask(tools=TOOLS * 30), 400))["code"] == "context_length_exceeded"


@pytest.mark.row("R9")
@pytest.mark.parametrize("hard", [False, True])
async def test_an_answer_that_a_limit_has_no_room_for_is_refused_and_not_cut(
    ask, alice, script, monkeypatch, hard
):
    monkeypatch.setattr("quotas.services.holds.config", SimpleNamespace(hard_limits=hard))
    await in_thread(limited)("user", alice.user.pk, "tokens", "day", 500)
    script(TextDelta("Hi"), Finished("stop", Usage(8, 1)))

    request = ask(max_tokens=1_000)
    error = await no_turn(request, 429)
    fitting = await ask(max_tokens=400).json()

    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert request.headers["x-should-retry"] == "false"
    assert int(request.headers["retry-after"]) >= 1
    assert fitting["usage"]["total_tokens"] == 9
    assert script.requests[0][1].max_tokens == 400


@pytest.mark.row("R9", "O10")
async def test_an_image_is_held_and_passes_as_text(ask, script):
    """R9, O10: nobody here asks for it."""
    script(TextDelta("Hi"), Finished("stop"))

    await ask(messages=IMAGE, max_tokens=1).read()

    assert (await in_thread(Hold.objects.get)()).tokens > 700
    assert script.requests[0][1].messages == IMAGE


@pytest.mark.row("R9")
async def test_more_than_a_model_writes_is_refused_and_not_clipped(known, ask):
    error = await no_turn(ask(model="gpt-3.5-turbo", max_tokens=5_000))

    assert error["param"] == "max_tokens"
    assert "4096" in error["message"]


@pytest.mark.parametrize(
    ("model", "fields", "param", "named"),
    [
        ("gpt-3.5-turbo", {"messages": IMAGE}, "messages", "image_url"),
        ("claude", {"seed": 5}, "seed", "seed"),
        ("claude", {"logprobs": True}, "logprobs", "logprobs"),
        (
            "claude",
            {"response_format": {"type": "json_object"}},
            "response_format",
            "json_object",
        ),
    ],
)
async def test_what_a_model_cannot_do_is_refused_by_name(known, ask, model, fields, param, named):
    error = await no_turn(ask(model=model, **fields))

    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert model in error["message"]
    assert named in error["message"]


@pytest.mark.parametrize(
    "unfit", [{"upstream_name": "gpt-3.5-turbo"}, {"context_window": 50}], ids=["blind", "small"]
)
async def test_a_fallback_that_cannot_do_it_is_not_asked(ask, script, model, unfit):
    other = await in_thread(make_model)("other", **unfit)
    seeing = await in_thread(make_model)("seeing")
    model.fallbacks = [str(each.pk) for each in (other, seeing)]
    await model.asave()
    script(TextDelta("Hi"), Finished("stop"))

    await ask(messages=IMAGE).read()

    turn = await in_thread(Turn.objects.get)()
    assert [route["name"] for route in turn.routes] == ["echo", "seeing"]


@pytest.mark.row("R9")
async def test_many_copies_are_refused_by_name(ask):
    assert (await no_turn(ask(n=100)))["param"] == "n"


async def test_a_model_that_is_not_there_is_not_found(ask, token):
    error = await no_turn(ask(model="openai/nothing:free"), 404)
    looked_up = Request("GET", "/v1/models/openai/nothing:free", token=token)

    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert (await error_of(looked_up, 404))["code"] == "model_not_found"


@pytest.mark.row("A7")
async def test_a_stranger_does_not_have_my_models(ask, stranger, alice, model):
    model.owner, model.everyone = alice.user, False
    await model.asave()

    request = Request("POST", COMPLETIONS, token=stranger, body={"model": "echo", "messages": HI})

    assert (await no_turn(request, 404))["code"] == "model_not_found"
    listed = await Request("GET", "/v1/models", token=stranger).json()
    assert [each["id"] for each in listed["data"]] == ["offline"]


async def test_a_key_lists_and_uses_its_own_models_only(ask, alice, script):
    await in_thread(make_model)("other/model:free")
    made = await in_thread(api_keys.create)(
        alice.user, name="A program", scopes=["chat"], models=["echo"], actor=alice.user
    )
    script(TextDelta("Hi"), Finished("stop"))

    listed = await Request("GET", "/v1/models", token=made.text).json()
    other = {"model": "other/model:free", "messages": HI}
    refused = Request("POST", COMPLETIONS, token=made.text, body=other)
    looked_up = Request("GET", "/v1/models/other/model:free", token=made.text)
    answered = await Request(
        "POST", COMPLETIONS, token=made.text, body={"model": "echo", "messages": HI}
    ).json()

    assert [each["id"] for each in listed["data"]] == ["echo"]
    error = await error_of(refused, 403)
    assert (error["code"], error["param"]) == ("model_not_allowed", "model")
    assert (await error_of(looked_up, 403))["code"] == "model_not_allowed"
    assert answered["choices"][0]["message"]["content"] == "Hi"


@pytest.mark.row("K4", "K3")
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_a_key_that_is_none_is_never_said_again(ask, header, capfd):
    """And no other header is a door."""
    key = "parley-" + "Canary" * 8
    value = f"Bearer {key}" if header == "authorization" else key
    request = Request("GET", "/v1/models", headers={header: value})

    error = await error_of(request, 401)

    assert error["code"] == "invalid_api_key"
    assert "Canary" not in str(error) + str(request.headers) + str(capfd.readouterr())


@pytest.mark.row("K4")
async def test_a_key_in_the_place_of_a_model_is_never_said_again(ask, token, capfd):
    key = "parley-" + "Canary" * 8
    looked_up = Request("GET", f"/v1/models/{key}", token=token)

    for request in (looked_up, ask(model=key)):
        error = await error_of(request, 404)
        assert error["code"] == "model_not_found"
        assert "Canary" not in str(error) + str(request.headers)
    assert "Canary" not in str(capfd.readouterr())


async def test_a_bug_of_ours_is_told_without_its_particulars(ask, script):
    script(RuntimeError("Canary"))

    error = await error_of(ask(), 500)

    assert error["type"] == "server_error"
    assert "Canary" not in str(error)


async def test_a_server_that_shuts_down_is_asked_again(ask, monkeypatch):
    monkeypatch.setattr(lifecycle, "draining", True)

    request = ask()
    error = await no_turn(request, 503)

    assert error["code"] == "upstream_error"
    assert request.headers["retry-after"]
    assert "x-should-retry" not in request.headers


async def test_too_many_turns_a_minute_say_when_to_come_again(ask, settings):
    settings.RATES = settings.RATES | {"turns_user": [(0, 60)]}

    request = ask()
    error = await no_turn(request, 429)

    assert (error["type"], error["code"]) == ("rate_limit_exceeded", "rate_limit_exceeded")
    assert int(request.headers["retry-after"]) >= 1
    assert "x-should-retry" not in request.headers


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/chat/completions/", "/v1/"])
async def test_an_address_that_is_none_is_404_in_the_same_shape(ask, token, path):
    assert (await error_of(Request("GET", path, token=token), 404))["code"] == "not_found"


@pytest.mark.row("I1")
async def test_a_body_beyond_the_limit_is_413_in_the_same_shape(ask, token):
    body = b'{"messages": "' + bytes(10 << 20)

    error = await error_of(Request("POST", COMPLETIONS, token=token, body=body), 413)

    assert error["code"] == "payload_too_large"


@pytest.mark.row("I3")
@pytest.mark.parametrize(
    "body",
    [b"[" * 40, b'{"a": 1e999}', b'{"a": NaN}', b'{"a": ' + b"9" * 5_000 + b"}", b"null"],
    ids=["deep", "infinite", "nan", "long", "null"],
)
async def test_json_that_is_too_much_is_invalid(ask, token, body):
    error = await no_turn(Request("POST", COMPLETIONS, token=token, body=body))

    assert (error["type"], error["code"]) == ("invalid_request_error", None)
