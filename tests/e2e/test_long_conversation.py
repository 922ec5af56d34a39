"""A conversation of 400 messages in a window of 8k, as the provider sees it."""

from __future__ import annotations

from typing import Any

import pytest
import tiktoken

from models_registry import tokens
from tests.e2e.person import Person, register
from tests.models_registry.upstream import Upstream, answer
from tests.waiting import until

WINDOW = 8_192
MODEL = "narrow"
SAID = "We talk about the bridge over the river, its piers, its railing and what they cost. " * 3


def counted(prompt: list[dict[str, Any]]) -> int:
    """As a provider counts it: by OpenAI's cookbook, with tiktoken."""
    known: tiktoken.Encoding = tokens._load(tokens.O200K)  # noqa: SLF001 without a network
    texts = (part for each in prompt for part in (each["role"], each["content"]))
    return 3 + 3 * len(prompt) + sum(len(known.encode_ordinary(text)) for text in texts)


@pytest.fixture
def narrow(servers_at, upstream):
    """A person with a model of their own, whose window is small."""
    with servers_at(ALLOW_PRIVATE_UPSTREAMS="true", AUTOMATIC_SUMMARIES="true") as (first, _second):
        person = register(first)
        connection = person.call(
            "POST",
            "connections",
            {
                "scope": "personal",
                "provider": "openai_compatible",
                "name": "Narrow",
                "base_url": upstream.url,
                "api_key": "sk-e2e-canary-narrow",
            },
        )
        fields = {"scope": "personal", "name": MODEL, "context_window": WINDOW}
        made = person.call("POST", "models", fields | {"connection": connection.json()["id"]})
        assert made.status == 201, made.body
        yield person


def test_it_gets_system_prompt_summary_and_the_newest_and_says_what_was_left_out(
    narrow: Person, upstream: Upstream
):
    upstream.script(answer(SAID))
    conversation = narrow.conversation(
        model=MODEL, title="Bridges", system_prompt="Answer like a bridge builder."
    )

    def say(content: str) -> dict[str, Any]:
        path = f"conversations/{conversation}/messages"
        told = narrow.call("POST", path, {"content": content})
        assert told.status == 201, told.body
        message: dict[str, Any] = told.json()["message"]
        return message

    for number in range(200):
        say(f"{number}: {SAID}")
    asked = len(upstream.requests)
    until(lambda: say("And the piers?")["context"]["summarized"], "the job has summed it up")
    last = say("What was the railing?")

    asks = [each.json for each in upstream.requests if each.body]
    # Not the last request of all: the job may be summing up once more.
    prompt = next(
        body["messages"]
        for body in reversed(asks)
        if body["messages"][-1]["content"] == "What was the railing?"
    )
    assert prompt[0] == {"role": "system", "content": "Answer like a bridge builder."}
    assert "<summary>" in prompt[1]["content"]
    assert [each["content"] for each in prompt[-3:]] == [
        "And the piers?",
        SAID,
        "What was the railing?",
    ]
    assert last["context"]["summarized"] is True
    assert last["context"]["messages_left_out"] > 200
    assert asked >= 200
    assert len(asks) > 200
    for body in asks:
        assert counted(body["messages"]) + (body.get("max_tokens") or 2_048) <= WINDOW
