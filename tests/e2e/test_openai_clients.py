"""The official clients of OpenAI against a real server: what they read, raise and try again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from tests.e2e.conftest import PAIRED, serving
from tests.e2e.openai_clients import CLIENTS, Outcome, install_node_client
from tests.e2e.person import Person, register
from tests.models_registry.upstream import (
    CUT,
    HANG,
    RESET,
    Reply,
    Upstream,
    answer,
    delta,
    finish,
    refusal,
    sse,
    tool_call,
    usage,
)
from tests.waiting import until

HI = [{"role": "user", "content": "Hi"}]
LOOK = {"name": "look", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": LOOK}]
BEFORE = {
    # how a provider fails before its first word, and how often it is asked
    "down": (refusal(500), 2),
    "refusing": (refusal(401), 1),
    "busy": (refusal(429), 2),
    "broken": (Reply((RESET,)), 2),
}
AMID = (RESET, CUT)
# One for each test: a model that fails often is left in peace for a while.
FAILING = [
    f"{fault}-{client}-{stream}"
    for fault in (*BEFORE, *AMID)
    for client in CLIENTS
    for stream in (False, True)
]
NAMED = "vendor/model:free"
# What a client makes of an answer is the same on every database; one of them asks the pair too.
PLAYED = ["python"] if PAIRED else CLIENTS


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Any]:
    upstream.models = ["mock", NAMED, "gpt-4", *FAILING]
    folder = tmp_path_factory.mktemp("clients")
    with serving(folder, upstream, ALLOW_PRIVATE_UPSTREAMS="true") as started:
        yield started


@pytest.fixture(scope="module")
def owner(servers) -> Person:
    return register(servers[0])


def key_of(person: Person, **fields: Any) -> str:
    made = person.call("POST", "api-keys", {"name": "A program"} | fields)
    assert made.status == 201, made.body
    return str(made.json()["key"])


@pytest.fixture(scope="module")
def key(owner) -> str:
    return key_of(owner)


@pytest.fixture(scope="module", params=PLAYED)
def official(request) -> Any:
    if request.param == "node":
        install_node_client()
    return CLIENTS[request.param]


@pytest.fixture
def client(official, owner, key) -> Any:
    return official(owner.server, key)


def asked(upstream: Upstream) -> Any:
    """What the provider was asked last."""
    return upstream.chats[-1].json


# -- answers -----------------------------------------------------------------------------------
def test_a_whole_answer(client, upstream):
    upstream.script(answer("Hel", "lo", prompt=7, completion=2))

    found = client.complete(model="mock", messages=HI, max_tokens=9, seed=5, stop=["END"])

    assert found.error == "", found
    [choice] = found.answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "stop")
    assert found.answer["usage"]["total_tokens"] == 9
    assert found.request_id
    sent = asked(upstream)
    assert (sent["max_tokens"], sent["seed"], sent["stop"]) == (9, 5, ["END"])


def test_a_stream_with_its_usage(client, upstream):
    upstream.script(answer("Hel", "lo", prompt=7, completion=2))

    found = client.complete(
        model="mock", messages=HI, stream=True, stream_options={"include_usage": True}
    )

    assert found.error == "", found
    assert found.text == "Hello"
    assert len({(each["id"], each["created"]) for each in found.chunks}) == 1
    assert found.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert found.chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert found.chunks[-1]["choices"] == []
    assert found.chunks[-1]["usage"]["total_tokens"] == 9


@pytest.mark.row("P7")
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_answered(client, upstream, stream):
    upstream.script(tool_call("look", '{"at":', '"x"}'))
    found = client.complete(model="mock", messages=HI, tools=TOOLS, stream=stream)
    assert found.error == "", found
    call = _call(found)
    assert call == {"id": "call_1", "name": "look", "arguments": '{"at":"x"}'}

    upstream.script(answer("A cat."))
    said = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
        ],
    }
    result = {"role": "tool", "tool_call_id": call["id"], "content": "a cat"}
    again = client.complete(model="mock", messages=[*HI, said, result], tools=TOOLS)

    assert again.answer["choices"][0]["message"]["content"] == "A cat."
    assert asked(upstream)["messages"] == [*HI, said, result]
    assert asked(upstream)["tools"] == TOOLS


def _call(found: Outcome) -> dict[str, str]:
    """The only call, put together from its pieces."""
    if found.answer:
        [call] = found.answer["choices"][0]["message"]["tool_calls"]
        assert found.answer["choices"][0]["finish_reason"] == "tool_calls"
        return {"id": call["id"], **call["function"]}
    assert found.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    deltas = [each["choices"][0]["delta"] for each in found.chunks]
    pieces = [piece for each in deltas for piece in each.get("tool_calls") or []]
    assert {piece["index"] for piece in pieces} == {0}
    arguments = "".join(piece["function"].get("arguments") or "" for piece in pieces)
    return {
        "id": pieces[0]["id"],
        "name": pieces[0]["function"]["name"],
        "arguments": arguments,
    }


def test_forms_images_and_likelihoods_pass_through(client, upstream):
    entry = {"token": "{}", "logprob": -0.5, "bytes": [123, 125], "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": "{}"}, "logprobs": {"content": [entry]}}
    upstream.script(Reply((sse({"choices": [choice]}), sse(finish(), usage(), b"[DONE]"))))
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": {"type": "object"}}}
    image = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/cat.png"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}]

    found = client.complete(
        model="mock", messages=messages, response_format=form, logprobs=True, top_logprobs=1
    )

    assert found.error == "", found
    assert found.answer["choices"][0]["logprobs"]["content"] == [entry]
    sent = asked(upstream)
    assert (sent["response_format"], sent["messages"]) == (form, messages)
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 1)


def test_models_are_listed_and_looked_up_by_any_name(client):
    assert {"mock", NAMED} <= set(client.models().answer)
    assert client.model(NAMED).answer == NAMED
    assert client.model("no/such:model").error == "NotFoundError"


# -- refusals ----------------------------------------------------------------------------------
def test_a_wrong_key_is_an_authentication_error(official, owner, upstream):
    found = official(owner.server, "parley-wrong").complete(model="mock", messages=HI)

    assert (found.error, found.status, found.code) == (
        "AuthenticationError",
        401,
        "invalid_api_key",
    )
    assert found.request_id
    assert upstream.chats == []


def test_a_model_beyond_the_keys_is_a_permission_error(official, owner):
    bound = official(owner.server, key_of(owner, models=["mock"]))

    found = bound.complete(model=NAMED, messages=HI)

    assert (found.error, found.code) == ("PermissionDeniedError", "model_not_allowed")
    assert bound.models().answer == ["mock"]


def test_a_model_that_is_not_there_is_a_not_found_error(client):
    found = client.complete(model="nothing", messages=HI)

    assert (found.error, found.code, found.param) == ("NotFoundError", "model_not_found", "model")


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_prompt_is_a_bad_request_error(client, upstream, stream):
    messages = [{"role": "user", "content": "word " * 9_000}]

    found = client.complete(model="gpt-4", messages=messages, stream=stream)

    assert (found.error, found.code) == ("BadRequestError", "context_length_exceeded")
    assert upstream.chats == []


def test_what_is_not_valid_is_a_bad_request_error(client):
    found = client.complete(model="mock", messages=HI, n=100)

    assert (found.error, found.type) == ("BadRequestError", "invalid_request_error")
    assert found.param == "n"


def test_a_quota_that_is_used_up_is_told_once(official, servers, upstream):
    poor = register(servers[0])
    who = f"User.objects.get(username={poor.username!r}).pk"
    limit = (
        "from accounts.models import User; from quotas.models import SubjectLimit;"
        f"SubjectLimit.objects.create(kind='user', subject_id=str({who}), metric='requests',"
        " period='day', amount=0)"
    )
    assert servers[0].command("shell", "-c", limit).returncode == 0
    before = _answered(servers[0], 429)

    found = official(servers[0], key_of(poor)).complete(model="mock", messages=HI)

    assert (found.error, found.status, found.code) == ("RateLimitError", 429, "insufficient_quota")
    assert "T00:00:00" in found.message  # when it begins anew
    assert _answered(servers[0], 429) - before == 1
    assert upstream.chats == []


def _answered(server: Any, status: int) -> int:
    """How often `/v1` answered so."""
    lines = server.log.splitlines()
    return sum("path=/v1/" in line and f"status={status}" in line for line in lines)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", BEFORE)
def test_a_provider_that_fails_before_its_first_word_is_a_server_error(
    client, official, upstream, fault, stream
):
    """At most three tries in all: the client does not ask again what was asked often enough."""
    reply, tries = BEFORE[fault]
    upstream.script(reply)

    found = client.complete(model=_failing(fault, official, stream), messages=HI, stream=stream)

    assert (found.error, found.chunks) == ("InternalServerError", [])
    assert found.code == "upstream_error"
    assert len(upstream.chats) == tries


def _failing(fault: str, official: Any, stream: bool) -> str:
    [client] = [name for name, found in CLIENTS.items() if found is official]
    return f"{fault}-{client}-{stream}"


@pytest.mark.row("E10")
@pytest.mark.parametrize("fault", AMID)
def test_a_provider_that_fails_after_its_first_word_is_an_error_and_no_short_answer(
    client, official, upstream, fault
):
    """E10: reset at token 10."""
    upstream.script(Reply((*[sse(delta(f"{number} ")) for number in range(10)], fault)))

    streamed = client.complete(model=_failing(fault, official, True), messages=HI, stream=True)
    waited = client.complete(model=_failing(fault, official, False), messages=HI)

    assert (streamed.error, streamed.code) == ("APIError", "upstream_error")
    assert "0 1 2 3 4 5 6 7 8 9 ".startswith(streamed.text)
    assert streamed.text
    assert (waited.error, waited.code) == ("InternalServerError", "upstream_error")


# -- retries, timeouts, leaving ----------------------------------------------------------------
@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Any]:
    """Servers that write one answer of a person's at a time."""
    folder = tmp_path_factory.mktemp("narrow")
    with serving(folder, upstream, LIMIT_FACTOR="0.02") as started:
        yield started


@pytest.fixture(scope="module")
def narrow_key(narrow) -> str:
    return key_of(register(narrow[0]))


def test_a_rate_limit_is_tried_again_after_its_time(official, narrow, narrow_key, upstream):
    server, key = narrow[0], narrow_key
    upstream.script(Reply((sse(delta("First")), HANG)), answer("Second"))
    results: list[Outcome] = []
    client = official(server, key, max_retries=1)
    waiting = threading.Thread(
        target=lambda: results.append(client.complete(model="mock", messages=HI))
    )

    with _writing(server, key, upstream):
        # Not sooner: whoever writes may have been refused while an earlier answer was ending.
        before = _answered(server, 429)
        waiting.start()
        until(lambda: _answered(server, 429) == before + 1, "the second one is refused")
    waiting.join(60)

    [found] = results
    assert found.error == "", found
    assert found.answer["choices"][0]["message"]["content"] == "Second"
    assert _answered(server, 429) == before + 1


@contextmanager
def _writing(server: Any, key: str, upstream: Upstream) -> Iterator[None]:
    """An answer that is being written until the block is left."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key) as client:
        with client.chat.completions.create(
            model="mock", messages=[{"role": "user", "content": "Hi"}], stream=True
        ) as stream:
            next(stream)
            yield
        assert upstream.chats[-1].left.wait(10)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_runs_out_of_patience_stops_the_provider(
    official, owner, key, upstream, stream
):
    upstream.script(Reply((HANG,)))

    found = official(owner.server, key, timeout=3, max_retries=0).complete(
        model="mock", messages=HI, stream=stream
    )

    assert found.error == "APITimeoutError"
    assert upstream.chats[0].left.wait(10)


def test_a_client_that_leaves_a_stream_stops_the_provider(client, upstream):
    upstream.script(Reply((sse(delta("Some text")), HANG)))

    found = client.complete(model="mock", messages=HI, stream=True, leave_after=2)

    assert found.error == ""
    assert found.text == "Some text"
    assert upstream.chats[0].left.wait(10)
