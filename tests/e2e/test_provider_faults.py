"""Each way a provider can fail: its code, its retries, and a conversation that stays usable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import serving
from tests.e2e.person import register, sign_in
from tests.e2e.test_quotas import CHIEF
from tests.events import text_of
from tests.models_registry.upstream import (
    CUT,
    HANG,
    RESET,
    Reply,
    Upstream,
    answer,
    delta,
    refusal,
    sse,
)


@dataclass(frozen=True)
class Fault:
    """`code` "" means that a retry made it good; `tries` is how often the provider is asked."""

    name: str
    replies: tuple[Reply, ...]
    code: str
    status: str
    tries: int
    text: str = ""


def after_text(*steps: Any) -> Reply:
    return Reply((sse(delta("Some text")), *steps))


FAULTS = [
    Fault("refused-key", (refusal(401),), "upstream_error", "failed", 1),
    Fault("forbidden", (refusal(403),), "upstream_error", "failed", 1),
    Fault("unknown-model", (refusal(404),), "upstream_error", "failed", 1),
    Fault("busy", (refusal(429),), "upstream_error", "failed", 2),
    Fault(
        "busy-once", (refusal(429, retry_after="1"), answer("Good.")), "", "complete", 2, "Good."
    ),
    Fault("busy-for-hours", (refusal(429, retry_after="99999"),), "upstream_error", "failed", 1),
    Fault("failing", (refusal(500),), "upstream_error", "failed", 2),
    Fault("failing-once", (refusal(503), answer("Good.")), "", "complete", 2, "Good."),
    Fault("silent", (Reply((HANG,)),), "upstream_timeout", "failed", 2),
    Fault("mute", (Reply((HANG,), raw=True),), "upstream_timeout", "failed", 2),
    Fault("silent-amid", (after_text(HANG),), "upstream_timeout", "interrupted", 1, "Some text"),
    Fault("reset", (Reply((RESET,)),), "upstream_error", "failed", 2),
    Fault("reset-amid", (after_text(RESET),), "upstream_error", "interrupted", 1, "Some text"),
    Fault("cut-amid", (after_text(CUT),), "upstream_error", "interrupted", 1, "Some text"),
    Fault(
        "half-a-character",
        (after_text(b'data: {"choices":[{"delta":{"content":"\xe4\xb8', CUT),),
        "upstream_error",
        "interrupted",
        1,
        "Some text",
    ),
    Fault(
        "giant-frame",
        (after_text(b"data: ", *[b"x" * 100_000] * 12),),
        "upstream_error",
        "failed",
        1,
        "Some text",
    ),
    Fault(
        "without-end",
        (after_text(*[sse(delta("y" * 60_000))] * 20),),
        "upstream_error",
        "failed",
        1,
    ),
]
MORE = ["ten-words", "liar", "busy-for-ever"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory, upstream: Upstream):
    upstream.models = ["mock", *MORE, *(fault.name for fault in FAULTS)]
    folder = tmp_path_factory.mktemp("faults")
    waits = {"PROVIDER_FIRST_TOKEN_SECONDS": "1", "PROVIDER_SILENCE_SECONDS": "1"}
    with serving(folder, upstream, **CHIEF, **waits) as started:
        yield started


@pytest.fixture(scope="module")
def one_person(servers):
    return register(servers[0])


@pytest.mark.row("F9", "F10", "F14")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_has_its_code_and_leaves_the_conversation_usable(fault, one_person, upstream):
    """F9, F10, F14."""
    person = one_person
    upstream.script(*fault.replies)
    conversation = person.conversation(model=fault.name)
    path = f"conversations/{conversation}/messages"

    events = await person.read(f"{path}/stream", {"content": "Hi"})

    assert len(upstream.chats) == fault.tries
    message = person.call("GET", f"messages/{events[0]['message_id']}").json()
    assert message["status"] == fault.status
    assert (message["error"] or {"code": ""})["code"] == fault.code
    assert message["content"] == text_of(events)
    assert message["content"].startswith(fault.text)
    assert events[-1]["type"] == ("chat_error" if fault.status == "failed" else "chat_complete")
    upstream.script(answer("Still here."))
    again = person.call("POST", path, {"content": "And now?", "model": "mock"})
    assert again.status == 201, again.body
    assert again.json()["message"]["content"] == "Still here."


@pytest.mark.row("F14")
async def test_a_reset_at_token_ten_leaves_ten_tokens_that_are_charged(one_person, upstream):
    """Not asked again, and nothing is glued to them."""
    upstream.script(Reply((*[sse(delta(" word"))] * 10, RESET)), answer(" and more"))
    path = f"conversations/{one_person.conversation(model='ten-words')}/messages/stream"

    events = await one_person.read(path, {"content": "Hi"})

    message = one_person.call("GET", f"messages/{events[0]['message_id']}").json()
    assert message["content"] == text_of(events) == " word" * 10
    assert (message["status"], message["usage"]["completion_tokens"]) == ("interrupted", 10)
    assert message["usage"]["cost"] == events[-1]["message"]["usage"]["cost"]
    assert len(upstream.chats) == 1


@pytest.mark.row("F14")
async def test_a_model_that_wants_a_day_is_left_for_the_next_one(servers, one_person, upstream):
    chief = sign_in(servers[0], "chief")
    [busy] = [
        each
        for each in chief.call("GET", "models?limit=100").json()["results"]
        if each["name"] == "busy-for-ever"
    ]
    changed = chief.call("PATCH", f"models/{busy['id']}", {"fallbacks": ["mock"]})
    assert changed.status == 200, changed.body
    upstream.script(refusal(429, retry_after="99999"), answer("Good."))
    path = f"conversations/{one_person.conversation(model='busy-for-ever')}/messages/stream"

    events = await one_person.read(path, {"content": "Hi"})

    assert [each.json["model"] for each in upstream.chats] == ["busy-for-ever", "mock"]
    assert text_of(events) == "Good."
    assert (events[-1]["message"]["model"], events[-1]["message"]["fallback"]) == ("mock", True)


@pytest.mark.row("F13")
@pytest.mark.parametrize("counts", [(-5, -5), (10**12, 10**12)])
async def test_a_count_that_cannot_be_true_is_not_charged(one_person, upstream, counts):
    upstream.script(answer(" word" * 10, prompt=counts[0], completion=counts[1]))
    path = f"conversations/{one_person.conversation(model='liar')}/messages/stream"
    before = one_person.call("GET", "users/me/usage").json()["results"]

    events = await one_person.read(path, {"content": "Hi"})

    usage = events[-1]["message"]["usage"]
    after = one_person.call("GET", "users/me/usage").json()["results"]
    assert (usage["completion_tokens"], usage["estimated"]) == (10, True)
    assert 0 < usage["prompt_tokens"] < 100
    charged = [sum(day["total_tokens"] for day in days) for days in (before, after)]
    assert charged[1] - charged[0] == usage["total_tokens"]


def test_a_failed_turn_is_a_problem_where_json_is_asked_for(one_person, upstream):
    upstream.script(refusal(401))
    conversation = one_person.conversation(model="refused-key")

    failed = one_person.call("POST", f"conversations/{conversation}/messages", {"content": "Hi"})

    assert (failed.status, failed.json()["code"]) == (502, "upstream_error")
    assert failed.headers["content-type"] == "application/problem+json"
    listed = one_person.call("GET", f"conversations/{conversation}/messages").json()["results"]
    assert [(row["role"], row["status"]) for row in listed] == [
        ("user", "complete"),
        ("assistant", "failed"),
    ]
