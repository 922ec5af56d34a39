"""Tools: what the model asked for is run with limits and given back to it, five rounds at most."""

from __future__ import annotations

import asyncio

import pytest

from chat.models import Message
from chat.services.stopping import request_stop
from chat.services.turn_requests import send_message
from chat.turns.runner import runner
from chat.turns.tools import Tool
from models_registry.errors import ProviderCut, ProviderFailed, ProviderOverflow
from models_registry.providers.base import Finished, TextDelta, ToolCallDelta, Usage
from models_registry.tokens import count, count_messages
from quotas.models import UsageRecord
from tests.chat.conftest import make_model, read
from tests.waiting import until

SCHEMA = {"type": "function", "function": {"name": "look_up", "parameters": {}}}


class Table:
    """Tools of the test: what they were asked, how many ran side by side."""

    def __init__(self):
        self.asked = []
        self.running = self.most = 0
        self.hanging = False

    async def look_up(self, arguments):
        self.asked.append(arguments)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.01)
        self.running -= 1
        return f"found {arguments.get('q', 'nothing')}"

    async def fail(self, _arguments):
        raise RuntimeError("a bug of the tool's")

    async def hang(self, _arguments):
        self.hanging = True
        await asyncio.Event().wait()

    async def shout(self, _arguments):
        return "é" * 20_000 + "\x00"


@pytest.fixture
def table(monkeypatch):
    """Every turn of the test brings these tools along."""
    table, launch = Table(), runner.launch
    tools = {
        name: Tool(SCHEMA, getattr(table, name)) for name in ("look_up", "fail", "hang", "shout")
    }

    def launch_with_tools(prepared, start):
        prepared.tools = tools
        launch(prepared, start)

    monkeypatch.setattr(runner, "launch", launch_with_tools)
    return table


def call(name="look_up", arguments='{"q": "x"}', index=0):
    return ToolCallDelta(index, f"call-{index}", name, arguments)


def answer(alice, conversation):
    ref = send_message(alice, conversation.id, content="Hi").ref
    return read(ref), Message.objects.get(pk=ref.message_id)


def test_a_call_is_run_and_its_result_is_given_to_the_model(alice, conversation, script, table):
    script(TextDelta("Looking. "), call(), Finished("tool_calls", Usage(60, 20)))
    script(TextDelta("Here it is."), Finished("stop", Usage(80, 10)))

    events, message = answer(alice, conversation)

    assert table.asked == [{"q": "x"}]
    asked = script.requests[1][1].messages[-2:]
    assert asked[0]["role"] == "assistant"
    assert asked[0]["content"] == "Looking. "
    assert asked[0]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": '{"q": "x"}'}
    assert asked[1] == {"role": "tool", "tool_call_id": "call-0", "content": "found x"}
    assert message.content == "Looking. Here it is."
    kept = message.tool_calls[0]
    assert (kept["name"], kept["result"], kept["status"]) == ("look_up", "found x", "done")
    assert kept["seconds"] >= 0
    assert [e["tool_call"]["status"] for e in events if "tool_call" in e] == ["done"]


def test_the_usage_of_all_rounds_is_one_sum_and_one_row(alice, conversation, script, table):
    script(call(), Finished("tool_calls", Usage(60, 20, cached_tokens=10)))
    script(TextDelta("Done, at length."), Finished("stop", Usage(80, 10)))

    _events, message = answer(alice, conversation)

    record = UsageRecord.objects.get()
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (140, 30, 10)
    assert message.prompt_tokens == 140


def test_several_calls_of_one_round_run_side_by_side_but_not_too_many(
    alice, conversation, script, table, settings
):
    """P4: three at once."""
    settings.TOOLS_AT_ONCE = 3
    script(*(call(index=number) for number in range(10)), Finished("tool_calls"))
    script(TextDelta("Done."), Finished("stop"))

    _events, message = answer(alice, conversation)

    assert len(table.asked) == 10
    assert table.most == 3
    assert [each["id"] for each in message.tool_calls] == [f"call-{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (call("unknown"), "There is no such tool."),
        (call(arguments="{not json"), "The arguments are not a JSON object."),
        (call(arguments='["a", "list"]'), "The arguments are not a JSON object."),
        (call("fail"), "The tool failed."),
        (call("hang"), "The tool took too long."),
    ],
)
def test_a_call_that_cannot_be_done_is_told_to_the_model_and_the_turn_goes_on(
    alice, conversation, script, table, settings, step, said
):
    settings.TOOL_SECONDS = 0.05
    script(step, Finished("tool_calls"))
    script(TextDelta("I could not look."), Finished("stop"))

    _events, message = answer(alice, conversation)

    assert script.requests[1][1].messages[-1]["content"] == said
    assert message.tool_calls[0]["status"] == "failed"
    assert message.status == "complete"


def test_a_call_without_arguments_gets_none(alice, conversation, script, table):
    script(call(arguments=""), Finished("tool_calls"))
    script(TextDelta("Done."), Finished("stop"))

    answer(alice, conversation)

    assert table.asked == [{}]


def test_a_long_result_is_cut_to_whole_characters_and_cleaned(
    alice, conversation, script, table, settings
):
    """P4, I5"""
    settings.TOOL_RESULT_BYTES = 1_001
    script(call("shout"), Finished("tool_calls"))
    script(TextDelta("Done."), Finished("stop"))

    _events, message = answer(alice, conversation)

    assert message.tool_calls[0]["result"] == "é" * 500


def test_a_model_that_calls_for_ever_ends_after_five_rounds(
    alice, conversation, script, table, settings
):
    """P4"""
    for _ in range(settings.TOOL_ROUNDS + 1):
        script(call(), Finished("tool_calls"))

    _events, message = answer(alice, conversation)

    assert len(script.requests) == settings.TOOL_ROUNDS == 5
    assert message.status == "complete"
    assert len(message.tool_calls) == 5


def test_the_model_that_answered_first_is_the_one_that_goes_on(
    alice, conversation, script, table, model
):
    second = make_model("second")
    model.fallbacks = [str(second.id)]
    model.save()
    script(ProviderFailed(retry_after=99))
    script(call(), Finished("tool_calls"))
    script(TextDelta("Done."), Finished("stop"))

    _events, message = answer(alice, conversation)

    assert [route.name for route, _request in script.requests] == ["echo", "second", "second"]
    assert message.model == "second"


def test_a_provider_that_breaks_off_in_a_later_round_keeps_what_was_done(
    alice, conversation, script, table
):
    script(TextDelta("Looking. "), call(), Finished("tool_calls"))
    script(TextDelta("Half"), ProviderCut())

    _events, message = answer(alice, conversation)

    assert (message.status, message.content) == ("interrupted", "Looking. Half")
    assert message.tool_calls[0]["status"] == "done"


def test_a_second_try_is_not_glued_to_what_the_first_began(alice, conversation, script, table):
    """F14: the first try broke off amid a call, of which no reader had heard."""
    script(call(arguments='{"q": "fir'), ProviderCut())
    script(call(arguments='{"q": "second"}'), Finished("tool_calls"))
    script(TextDelta("Done."), Finished("stop"))

    _events, message = answer(alice, conversation)

    assert table.asked == [{"q": "second"}]
    assert [each["arguments"] for each in message.tool_calls] == ['{"q": "second"}']


def test_a_round_that_breaks_off_is_charged_by_estimate_beside_the_counted_ones(
    alice, conversation, script, table
):
    """F13, T5: not for nothing, and not twice."""
    script(TextDelta("Looking. "), call(), Finished("tool_calls", Usage(60, 20)))
    script(TextDelta("Half of an answer"), ProviderCut())

    _events, message = answer(alice, conversation)

    asked = count_messages(script.requests[1][1].messages, "o200k_base")
    said = count("Half of an answer", "o200k_base")
    assert asked > 20
    record = UsageRecord.objects.get()
    assert (record.prompt_tokens, record.completion_tokens) == (60 + asked, 20 + said)
    assert record.estimated
    assert message.usage_estimated


def test_a_round_that_was_refused_before_it_began_costs_nothing(
    alice, conversation, script, table, settings
):
    settings.PROVIDER_TRIES = 1
    script(TextDelta("Looking. "), call(), Finished("tool_calls", Usage(60, 20)))
    script(ProviderFailed())

    answer(alice, conversation)

    record = UsageRecord.objects.get()
    assert (record.prompt_tokens, record.completion_tokens) == (60, 20)
    assert not record.estimated


@pytest.mark.row("P7")
def test_a_turn_without_tools_hands_calls_through_and_runs_nothing(alice, conversation, script):
    script(call(), Finished("tool_calls"))

    events, message = answer(alice, conversation)

    assert len(script.requests) == 1
    assert message.tool_calls[0]["status"] == "requested"
    assert message.tool_calls[0]["result"] is None
    assert events[1]["tool_call"]["arguments"] == '{"q": "x"}'


def test_calls_over_the_cap_are_kept_but_not_run(alice, conversation, script, table):
    """F10: of which no reader had heard either."""
    script(call(), call(index=1, arguments='{"q": "unfin'), ProviderOverflow())

    events, message = answer(alice, conversation)

    assert table.asked == []
    assert (events[-1]["type"], events[-1]["code"]) == ("chat_error", "upstream_error")
    assert [each["status"] for each in message.tool_calls] == ["requested", "requested"]
    record = UsageRecord.objects.get()
    assert (record.answered_by, record.completion_tokens > 10) == ("echo", True)


def test_a_stop_while_tools_run_keeps_their_calls(alice, conversation, script, table):
    script(call("hang"), Finished("tool_calls"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: table.hanging, "the tool runs")

    request_stop(alice, ref.message_id)
    read(ref)

    message = Message.objects.get(pk=ref.message_id)
    assert message.status == "stopped"
    assert [each["status"] for each in message.tool_calls] == ["requested"]
