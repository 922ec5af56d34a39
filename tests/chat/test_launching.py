"""A turn begins when its rows are committed, from any thread, and inherits nothing."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import Any

import pytest
import structlog
from django.db import IntegrityError
from django.utils import translation

from chat.models import Conversation, Message, Turn
from chat.services.turn_requests import chat_once, send_message
from chat.streams import nudges
from chat.streams.events import TurnRef
from chat.streams.hub import hub
from chat.turns import attempts
from chat.turns.runner import runner
from common.db import write_transaction
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold
from tests.chat.conftest import Gate, read
from tests.chat.threads import all_at_once
from tests.waiting import until


@pytest.fixture
def nudged(monkeypatch):
    """Which turns were announced."""
    told: list[TurnRef] = []
    monkeypatch.setattr(nudges, "turn_began", told.append)
    return told


@pytest.mark.row("T6")
def test_a_turn_that_is_rolled_back_never_runs_and_is_not_announced(
    alice, conversation, script, nudged
):
    """T6"""
    script(TextDelta("Never"), Finished("stop"))

    def send_and_fail():
        with write_transaction():
            send_message(alice, conversation.id, content="Hi", idempotency_key="k")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        send_and_fail()

    assert (script.requests, nudged, hub.own, runner.turns) == ([], [], {}, {})
    assert not Message.objects.exists()
    assert not Turn.objects.exists()
    assert not Hold.objects.exists()


@pytest.mark.row("T6")
def test_a_turn_waits_for_the_commit(alice, conversation, script, nudged):
    script(TextDelta("Hello"), Finished("stop"))

    with write_transaction():
        ref = send_message(alice, conversation.id, content="Hi").ref
        before = (list(script.requests), list(nudged), dict(hub.own))
    after = read(ref)

    assert before == ([], [], {})
    assert after[-1]["message"]["content"] == "Hello"
    assert nudged == [ref]


def test_a_failure_while_preparing_leaves_nothing_half_written(
    alice, conversation, script, monkeypatch
):
    """The hold is the last write: when it fails, nothing of the turn is there."""

    def fail(**_fields):
        raise IntegrityError

    monkeypatch.setattr("chat.turns.prepare.hold", fail)

    with pytest.raises(Exception):  # noqa: B017, PT011 whatever it becomes, nothing is left
        send_message(alice, conversation.id, content="Hi", idempotency_key="k")

    conversation.refresh_from_db()
    assert (conversation.last_position, conversation.message_count) == (0, 0)
    assert not Message.objects.exists()
    assert not Turn.objects.exists()


def test_a_turn_runs_in_an_empty_context_with_its_request_id_and_language(
    alice, conversation, script, monkeypatch
):
    """A context that is inherited holds the request's thread, which is gone when it finishes."""
    of_the_request = contextvars.ContextVar("of_the_request", default="nothing")
    seen: dict[str, Any] = {}
    real = attempts._converse  # noqa: SLF001 the first thing a turn does

    async def look(turn, outcome):
        seen["inherited"] = of_the_request.get()
        seen["request_id"] = structlog.contextvars.get_contextvars().get("request_id")
        seen["language"] = turn.prepared.request.language
        await real(turn, outcome)

    monkeypatch.setattr(attempts, "_converse", look)
    script(TextDelta("Hello"), Finished("stop"))

    def request():
        of_the_request.set("a request")
        with (
            structlog.contextvars.bound_contextvars(request_id="request-1"),
            translation.override("zh-hans"),
        ):
            return send_message(alice, conversation.id, content="Hi").ref

    read(contextvars.copy_context().run(request))

    assert seen == {"inherited": "nothing", "request_id": "request-1", "language": "zh-hans"}


def test_the_end_is_told_in_the_language_of_the_request(alice, conversation, script, settings):
    settings.PROVIDER_FIRST_TOKEN_SECONDS = 0.05
    settings.PROVIDER_TRIES = 1
    details = {}
    for language in ("en", "zh-hans"):
        script(Gate())
        other = Conversation.objects.create(owner=alice.user, model="echo")
        with translation.override(language):
            ref = send_message(alice, other.id, content="Hi").ref
        end = read(ref)[-1]
        details[language] = end["detail"]
        assert end["code"] == "upstream_timeout"
        assert Message.objects.get(pk=ref.message_id).error_detail == end["detail"]

    assert details == {
        "en": "The model's provider took too long.",
        "zh-hans": "模型服务商响应超时。",
    }


def test_turns_of_many_threads_run_side_by_side(alice, model, script):
    conversations = [
        Conversation.objects.create(owner=alice.user, model=model.name) for _ in range(20)
    ]
    for _ in conversations:
        script(TextDelta("Hello"), Finished("stop"))

    started = all_at_once(
        [partial(send_message, alice, each.id, content="Hi") for each in conversations]
    )

    assert [read(each.ref)[-1]["message"]["content"] for each in started] == ["Hello"] * 20
    until(lambda: not runner.turns, "the runner let go of all")
    assert Turn.objects.filter(status="complete").count() == 20


def test_stateless_turns_are_announced_to_nobody(alice, model, script, monkeypatch):
    told = []
    monkeypatch.setattr("chat.streams.nudges.nudge", lambda *args: told.append(args))
    script(TextDelta("Hello"), Finished("stop"))

    read(chat_once(alice, messages=[{"role": "user", "content": "Hi"}]).ref)

    assert told == []
