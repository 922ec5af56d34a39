"""A turn, from the person's sentence to the settled hold."""

from __future__ import annotations

import pytest

from chat.models import Message, Turn
from chat.services.turn_requests import send_message
from models_registry.errors import ProviderCut, ProviderFailed
from models_registry.providers.base import Finished, TextDelta, Usage
from quotas.models import Hold, UsageRecord
from tests.chat.conftest import Gate, read, turn_row
from tests.events import text_of
from tests.waiting import until


def test_an_answer_streams_and_is_stored_and_settled(alice, conversation, script):
    script(TextDelta("Hel"), TextDelta("lo"), Finished("stop", Usage(70, 20)))

    started = send_message(alice, conversation.id, content="Hi")
    events = read(started.ref)

    assert [(e["type"], e["seq"]) for e in events] == [
        ("chat_start", 0),
        ("chat_chunk", 1),
        ("chat_chunk", 2),
        ("chat_complete", 3),
    ]
    assert events[0]["user_message"]["content"] == "Hi"
    answer = Message.objects.get(pk=started.ref.message_id)
    assert (answer.content, answer.status, answer.model) == ("Hello", "complete", "echo")
    assert events[-1]["message"]["content"] == "Hello"
    assert events[-1]["message"]["usage"]["cost"] == "0.000260"
    assert Hold.objects.get(turn_id=started.ref.turn_id).status == Hold.Status.SETTLED
    record = UsageRecord.objects.get(turn_id=started.ref.turn_id)
    assert (record.prompt_tokens, record.completion_tokens, record.cost) == (70, 20, 260_000)
    conversation.refresh_from_db()
    assert (conversation.message_count, conversation.last_position) == (2, 3)
    assert (conversation.tokens, conversation.cost) == (90, 260_000)


def test_the_reader_leaves_before_the_first_byte_and_the_answer_is_stored(
    alice, conversation, script
):
    gate = Gate()
    script(gate, TextDelta("Nobody reads this."), Finished("stop"))

    started = send_message(alice, conversation.id, content="Hi")
    gate.open()

    until(lambda: turn_row(started.ref).status == Turn.Status.COMPLETE, "the turn ended")
    assert Message.objects.get(pk=started.ref.message_id).content == "Nobody reads this."


@pytest.mark.parametrize("after", range(-1, 7))
def test_a_reader_resumes_after_any_position_with_the_same_text(alice, conversation, script, after):
    """E7: from 0 to n+1, the concatenation is identical."""
    words = ["one ", "two ", "three ", "four "]
    script(*(TextDelta(word) for word in words), Finished("stop"))
    started = send_message(alice, conversation.id, content="Count")
    whole = read(started.ref)

    rest = read(started.ref, after=after)

    seen = [event for event in whole if event["seq"] <= after and event["type"] == "chat_chunk"]
    assert text_of([*seen, *rest]) == "".join(words)
    assert rest[-1] == whole[-1]


def test_the_provider_breaks_off_and_the_text_is_kept(alice, conversation, script):
    """F14: never restarted or glued after the first token."""
    script(TextDelta("Half an ans"), ProviderCut())

    started = send_message(alice, conversation.id, content="Hi")
    events = read(started.ref)

    message = events[-1]["message"]
    assert (events[-1]["type"], message["status"]) == ("chat_complete", "interrupted")
    assert message["error"]["code"] == "upstream_error"
    assert message["content"] == "Half an ans"
    assert message["usage"]["estimated"] is True
    assert message["usage"]["completion_tokens"] > 0
    assert len(script.requests) == 1


def test_a_provider_that_fails_twice_leaves_a_failed_message_and_a_usable_conversation(
    alice, conversation, script
):
    script(ProviderFailed(retry_after=0.01))
    script(ProviderFailed())

    failed = send_message(alice, conversation.id, content="Hi")
    events = read(failed.ref)

    assert (events[-1]["type"], events[-1]["code"]) == ("chat_error", "upstream_error")
    assert Message.objects.get(pk=failed.ref.message_id).status == "failed"
    unpaid = UsageRecord.objects.get(turn_id=failed.ref.turn_id)
    assert (unpaid.prompt_tokens, unpaid.completion_tokens, unpaid.cost) == (0, 0, 0)
    script(TextDelta("Back."), Finished("stop"))
    assert read(send_message(alice, conversation.id, content="And now?").ref)[-1]["message"]
