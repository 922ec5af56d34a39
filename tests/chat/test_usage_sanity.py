"""F13: a provider's count is believed within reason, else ours is charged and marked."""

from __future__ import annotations

import pytest

from chat.models import Message
from chat.services.turn_requests import send_message
from models_registry.providers.base import Finished, ReasoningDelta, TextDelta, Usage
from models_registry.tokens import count
from quotas.models import UsageRecord
from tests.chat.conftest import read

TEXT = "A sentence of some length, so that there is something to count. " * 4

pytestmark = pytest.mark.row("F13")


def charged(alice, conversation, script, usage, *before):
    script(*before, TextDelta(TEXT), Finished("stop", usage))
    ref = send_message(alice, conversation.id, content="Hi").ref
    end = read(ref)[-1]
    record, message = UsageRecord.objects.get(), Message.objects.get(pk=ref.message_id)
    assert end["message"]["usage"]["estimated"] is message.usage_estimated is record.estimated
    assert (message.prompt_tokens, message.completion_tokens) == (
        record.prompt_tokens,
        record.completion_tokens,
    )
    assert message.cost == record.cost
    return record


def test_a_plausible_count_is_charged_as_it_is(alice, conversation, script):
    record = charged(alice, conversation, script, Usage(20, 60, cached_tokens=5))

    assert (record.prompt_tokens, record.completion_tokens) == (20, 60)
    assert (record.cached_tokens, record.estimated) == (5, False)


def test_no_count_at_all_is_our_own_marked(alice, conversation, script):
    record = charged(alice, conversation, script, None)

    assert record.completion_tokens == count(TEXT, "o200k_base")
    assert record.prompt_tokens > 0
    assert record.estimated


@pytest.mark.parametrize("completion", [-5, 0, 10**12, 100_000])
def test_an_absurd_completion_is_estimated(alice, conversation, script, completion):
    record = charged(alice, conversation, script, Usage(20, completion))

    assert record.completion_tokens == count(TEXT, "o200k_base")
    assert record.prompt_tokens == 20
    assert record.estimated


@pytest.mark.parametrize("prompt", [-5, 0, 10**12])
def test_an_absurd_prompt_is_estimated(alice, conversation, script, prompt):
    record = charged(alice, conversation, script, Usage(prompt, 60))

    assert 0 < record.prompt_tokens < 100
    assert record.completion_tokens == 60
    assert record.estimated


@pytest.mark.parametrize(("cached", "kept"), [(-3, 0), (10**9, 20)])
def test_cached_tokens_are_part_of_the_prompt(alice, conversation, script, cached, kept):
    record = charged(alice, conversation, script, Usage(20, 60, cached_tokens=cached))

    assert record.cached_tokens == kept
    assert record.cost >= 0


def test_thoughts_that_are_not_shown_are_believed(alice, conversation, script):
    record = charged(alice, conversation, script, Usage(20, 5_060, reasoning_tokens=5_000))

    assert (record.completion_tokens, record.reasoning_tokens) == (5_060, 5_000)
    assert not record.estimated


def test_thoughts_that_are_shown_count_where_the_provider_does_not(alice, conversation, script):
    thought = "Let me think about this for a while. " * 5

    record = charged(alice, conversation, script, None, ReasoningDelta(thought))

    both = count(TEXT, "o200k_base") + count(thought, "o200k_base")
    assert record.completion_tokens == both
