"""Which model is asked, how often, and what is stored of it (F14, F16)."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from chat.models import Conversation, Message, Turn
from chat.services.stopping import request_stop
from chat.services.turn_requests import send_message
from chat.turns import attempts
from models_registry import cooldown
from models_registry.errors import (
    ProviderBusy,
    ProviderCut,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverflow,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
)
from models_registry.providers.base import (
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models_registry.services.routing import routes_for
from models_registry.tokens import count
from quotas.models import UsageRecord
from tests.chat.conftest import Gate, make_model, read
from tests.chat.threads import all_at_once
from tests.waiting import until


@pytest.fixture
def route(alice, model):
    return routes_for(model, alice.user)[0]


@pytest.fixture
def sleeps(monkeypatch):
    """How long the attempts wanted to wait; nobody waits."""
    slept = []
    real = attempts._pause  # noqa: SLF001 the wait itself is what is tested

    def pause(error, attempt):
        wanted = real(error, attempt)
        if wanted is None:
            return None
        slept.append(wanted)
        return 0

    monkeypatch.setattr(attempts, "_pause", pause)
    return slept


@pytest.fixture
def fallbacks(model):
    """`echo` falls back to `second`, then to `third`."""
    others = [make_model(name, input_price=9, output_price=9) for name in ("second", "third")]
    model.fallbacks = [str(each.id) for each in others]
    model.save()
    return others


def asked(script):
    return [route.name for route, _request in script.requests]


def ask(alice, conversation):
    """The last event of a turn, and its stored message."""
    ref = send_message(alice, conversation.id, content="Hi").ref
    return read(ref)[-1], Message.objects.get(pk=ref.message_id)


@pytest.mark.row("F14")
def test_a_try_that_fails_before_the_first_token_is_repeated(alice, conversation, script, sleeps):
    script(ProviderUnreachable())
    script(TextDelta("Back."), Finished("stop"))

    _end, message = ask(alice, conversation)

    assert (message.status, message.content, message.fallback) == ("complete", "Back.", False)
    assert asked(script) == ["echo", "echo"]
    assert len(sleeps) == 1
    assert 0 < sleeps[0] < 1


@pytest.mark.row("F14")
@pytest.mark.parametrize(("wanted", "tries"), [(0, 2), (7, 2), (20, 2), (21, 1), (99_999, 1)])
def test_retry_after_is_honoured_up_to_twenty_seconds(
    alice, conversation, script, sleeps, wanted, tries
):
    script(ProviderBusy(retry_after=wanted))
    script(ProviderBusy(retry_after=wanted))

    end, _message = ask(alice, conversation)

    assert end["code"] == "upstream_error"
    assert asked(script) == ["echo"] * tries
    assert sleeps == [wanted] * (tries - 1)


@pytest.mark.row("F14")
def test_two_tries_of_three_models_and_then_it_fails(
    alice, conversation, script, sleeps, fallbacks
):
    for _ in range(6):
        script(ProviderFailed())

    end, message = ask(alice, conversation)

    assert asked(script) == ["echo", "echo", "second", "second", "third", "third"]
    assert (end["type"], end["code"]) == ("chat_error", "upstream_error")
    assert (message.status, message.error_code) == ("failed", "upstream_error")
    assert UsageRecord.objects.get().answered_by == ""


@pytest.mark.row("F14")
def test_a_model_whose_wait_is_too_long_is_left_for_the_next(
    alice, conversation, script, sleeps, fallbacks
):
    """F14: `Retry-After: 99999`: next model."""
    script(ProviderBusy(retry_after=99_999))
    script(TextDelta("Second."), Finished("stop", Usage(40, 2)))

    end, message = ask(alice, conversation)

    assert asked(script) == ["echo", "second"]
    assert sleeps == []
    assert end["message"]["fallback"] is True
    assert (message.model, message.fallback) == ("second", True)


def test_the_model_that_answered_is_recorded_and_its_price_is_charged(
    alice, conversation, script, fallbacks
):
    script(ProviderRefused())
    script(TextDelta("Second."), Finished("stop", Usage(1_000_000, 1_000_000)))
    Conversation.objects.update(system_prompt="long " * 3_000)

    _end, message = ask(alice, conversation)

    record = UsageRecord.objects.get()
    assert (record.model, record.answered_by) == ("echo", "second")
    assert (record.input_price, record.output_price) == (9, 9)
    assert record.cost == message.cost


@pytest.mark.parametrize("error", [ProviderRefused, ProviderGarbled, ProviderOverflow])
def test_what_will_not_get_better_goes_to_the_next_model_at_once(
    alice, conversation, script, sleeps, fallbacks, error
):
    script(error())
    script(TextDelta("Second."), Finished("stop"))

    _end, message = ask(alice, conversation)

    assert asked(script) == ["echo", "second"]
    assert message.status == "complete"


@pytest.mark.row("F14")
@pytest.mark.parametrize("first", [TextDelta("T"), ReasoningDelta("R"), ToolCallDelta(0, "c", "f")])
@pytest.mark.parametrize("error", [ProviderCut, ProviderFailed, ProviderBusy])
def test_after_the_first_token_nothing_is_tried_again(
    alice, conversation, script, fallbacks, first, error
):
    """F14: never restarted or glued."""
    script(first, error())

    _end, message = ask(alice, conversation)

    assert asked(script) == ["echo"]
    assert message.model == "echo"
    assert not message.fallback


@pytest.mark.row("F14")
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProviderCut, "interrupted", "upstream_error"),
        (ProviderTimeout, "interrupted", "upstream_timeout"),
        (ProviderUnreachable, "interrupted", "upstream_error"),
        (ProviderFailed, "failed", "upstream_error"),
        (ProviderBusy, "failed", "upstream_error"),
        (ProviderRefused, "failed", "upstream_error"),
        (ProviderOverflow, "failed", "upstream_error"),
        (ProviderGarbled, "failed", "upstream_error"),
    ],
)
def test_after_some_text_the_status_says_whether_it_broke_off_or_was_refused(
    alice, conversation, script, error, status, code
):
    script(TextDelta("Ten tokens of text, kept and charged."), error())

    end, message = ask(alice, conversation)

    assert (message.status, message.error_code) == (status, code)
    assert message.content == "Ten tokens of text, kept and charged."
    assert message.completion_tokens > 0
    assert UsageRecord.objects.get().answered_by == "echo"
    assert end["type"] == ("chat_complete" if status == "interrupted" else "chat_error")


@pytest.mark.parametrize(
    "error", [ProviderCut, ProviderTimeout, ProviderUnreachable, ProviderFailed, ProviderRefused]
)
def test_without_any_text_every_error_is_a_failure(alice, conversation, script, sleeps, error):
    script(error())
    script(error())

    end, message = ask(alice, conversation)

    assert (end["type"], end["code"]) == ("chat_error", error.code)
    assert (message.status, message.content) == ("failed", "")


@pytest.mark.row("F14")
def test_a_model_that_keeps_failing_is_not_asked_and_the_fallback_is(
    alice, conversation, script, sleeps, fallbacks, route, settings
):
    """F14: the cool-down is per model."""
    for _ in range(settings.PROVIDER_COOLDOWN_FAILURES):
        cooldown.failed(route)
    script(TextDelta("Second."), Finished("stop"))

    _end, message = ask(alice, conversation)

    assert asked(script) == ["second"]
    assert (message.model, message.fallback) == ("second", True)


def test_a_turn_whose_models_all_rest_is_model_unavailable(
    alice, conversation, script, route, settings
):
    for _ in range(settings.PROVIDER_COOLDOWN_FAILURES):
        cooldown.failed(route)

    end, message = ask(alice, conversation)

    assert (end["type"], end["code"]) == ("chat_error", "model_unavailable")
    assert asked(script) == []
    assert message.status == "failed"


@pytest.mark.row("F16")
def test_after_its_rest_a_model_is_tried_by_one_turn_first(
    alice, conversation, script, route, settings
):
    """F16: of fifty at once one probes; when it succeeds the others come through."""
    settings.PROVIDER_COOLDOWN_SECONDS = 0.05
    for _ in range(settings.PROVIDER_COOLDOWN_FAILURES):
        cooldown.failed(route)
    until(lambda: cooldown.admit(route), "its rest is over")
    cooldown.released(route)
    settings.PROVIDER_COOLDOWN_SECONDS = 600
    gate = Gate()
    script(gate, TextDelta("Back."), Finished("stop"))
    others = [Conversation.objects.create(owner=alice.user, model="echo") for _ in range(50)]

    started = all_at_once([partial(send_message, alice, each.id, content="Hi") for each in others])
    until(lambda: gate.reached, "the probe asks")
    until(lambda: Turn.objects.running().count() == 1, "the others were refused")
    gate.open()
    ends = Counter(read(each.ref)[-1].get("code", "complete") for each in started)

    assert ends == {"model_unavailable": 49, "complete": 1}
    assert len(asked(script)) == 1
    script(TextDelta("And on."), Finished("stop"))
    assert ask(alice, others[0])[1].status == "complete"


@pytest.mark.row("F16")
def test_a_probe_that_is_stopped_lets_the_next_one_probe(
    alice, conversation, script, route, settings
):
    settings.PROVIDER_COOLDOWN_SECONDS = 0.05
    for _ in range(settings.PROVIDER_COOLDOWN_FAILURES):
        cooldown.failed(route)
    until(lambda: cooldown.admit(route), "its rest is over")
    cooldown.released(route)
    settings.PROVIDER_COOLDOWN_SECONDS = 600
    script(Exception("a bug"))
    ask(alice, conversation)

    script(TextDelta("Back."), Finished("stop"))

    assert ask(alice, conversation)[1].content == "Back."


def test_reasoning_and_tool_calls_are_in_the_events_and_in_the_message(alice, conversation, script):
    script(
        ReasoningDelta("Let me "),
        ReasoningDelta("think."),
        TextDelta("Looking."),
        ToolCallDelta(0, "c1", "look_up", '{"q":'),
        ToolCallDelta(0, arguments='"x"}'),
        ToolCallDelta(1, "c2", "other", "{}"),
        Finished("tool_calls"),
    )

    ref = send_message(alice, conversation.id, content="Hi").ref
    events = read(ref)

    chunks = [event for event in events if event["type"] == "chat_chunk"]
    assert "".join(chunk.get("reasoning", "") for chunk in chunks) == "Let me think."
    pieces = [chunk["tool_call"] for chunk in chunks if "tool_call" in chunk]
    assert [piece["arguments"] for piece in pieces] == ['{"q":', '"x"}', "{}"]
    assert [piece["name"] for piece in pieces] == ["look_up", "look_up", "other"]
    message = Message.objects.get(pk=ref.message_id)
    assert message.reasoning == "Let me think."
    assert [(call["name"], call["arguments"]) for call in message.tool_calls] == [
        ("look_up", '{"q":"x"}'),
        ("other", "{}"),
    ]
    assert events[-1]["message"]["tool_calls"] == message.tool_calls
    assert [event["seq"] for event in events] == list(range(len(events)))


def test_max_tokens_never_passes_the_limit_of_the_model_that_is_asked(alice, conversation, script):
    """O9: max_tokens ≤ the model's."""
    make_model("small", max_output_tokens=100)
    Conversation.objects.update(model="small", parameters={"max_tokens": 5_000})
    script(TextDelta("Short."), Finished("stop"))

    ask(alice, conversation)

    assert script.requests[0][1].max_tokens == 100


def test_an_empty_answer_is_complete(alice, conversation, script):
    script(Finished("stop", Usage(5, 0)))

    end, message = ask(alice, conversation)

    assert end["type"] == "chat_complete"
    assert (message.status, message.content, message.model) == ("complete", "", "echo")


@pytest.mark.row("F10")
@pytest.mark.parametrize(
    ("error", "status"), [(ProviderOverflow, "failed"), (ProviderCut, "interrupted")]
)
def test_calls_that_came_before_the_end_are_kept_and_charged(
    alice, conversation, script, error, status
):
    """F10: as text is; with the error named."""
    arguments = ['{"q": "the first one"}', '{"q": "the sec']
    script(
        *(ToolCallDelta(n, f"c{n}", "look_up", each) for n, each in enumerate(arguments)), error()
    )

    end, message = ask(alice, conversation)

    assert (message.status, message.error_code) == (status, "upstream_error")
    assert message.error_detail == str(error())
    assert [call["arguments"] for call in message.tool_calls] == arguments
    said = sum(count("look_up" + each, "o200k_base") for each in arguments)
    record = UsageRecord.objects.get()
    assert (record.completion_tokens, record.estimated) == (said, True)
    assert record.prompt_tokens > 0
    assert record.answered_by == "echo"
    assert end["type"] == ("chat_complete" if status == "interrupted" else "chat_error")


def test_calls_of_an_answer_that_is_stopped_are_kept(alice, conversation, script):
    gate = Gate()
    script(ToolCallDelta(0, "c0", "look_up", '{"q": "x"}'), gate, Finished("tool_calls"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the call has come")

    request_stop(alice, ref.message_id)
    read(ref)

    message = Message.objects.get(pk=ref.message_id)
    assert message.status == "stopped"
    assert [call["name"] for call in message.tool_calls] == ["look_up"]
    assert UsageRecord.objects.get().completion_tokens > 0
