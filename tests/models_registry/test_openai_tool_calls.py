"""Tool calls over OpenAI's wire, whole and in pieces."""

import pytest

from models_registry.providers.base import Finished, ToolCallDelta
from tests.models_registry.asking import ask, finished, text
from tests.models_registry.upstream import DONE, Reply, delta, finish, sse

pytestmark = pytest.mark.usefixtures("clients")


class TestToolCalls:
    async def test_in_pieces(self, upstream, endpoint):
        upstream.script(
            Reply(
                (
                    sse(_call(index=0, id="c1", name="look", arguments="")),
                    sse(_call(index=0, arguments='{"q":')),
                    sse(_call(index=0, arguments='"x"}')),
                    sse(finish("tool_calls"), DONE),
                )
            )
        )

        events = await ask(endpoint)

        assert events[:-1] == [
            ToolCallDelta(0, "c1", "look", ""),
            ToolCallDelta(0, arguments='{"q":'),
            ToolCallDelta(0, arguments='"x"}'),
        ]
        assert finished(events).reason == "tool_calls"

    async def test_two_at_once_under_one_index(self, upstream, endpoint):
        upstream.script(
            Reply(
                (
                    sse(_call(index=0, id="a", name="one", arguments="{}")),
                    sse(_call(index=0, id="b", name="two", arguments="{}")),
                    sse(finish("stop"), DONE),
                )
            )
        )

        events = await ask(endpoint)

        assert events[:-1] == [
            ToolCallDelta(0, "a", "one", "{}"),
            ToolCallDelta(1, "b", "two", "{}"),
        ]
        assert finished(events).reason == "tool_calls"

    async def test_without_index_or_id_and_with_an_object_as_arguments(self, upstream, endpoint):
        upstream.script(
            Reply((sse(_call(name="look", arguments={"q": "x"}), finish("stop"), DONE),))
        )

        events = await ask(endpoint)

        assert events[:-1] == [ToolCallDelta(0, "call_0", "look", '{"q":"x"}')]

    async def test_id_and_name_repeated_in_every_piece_come_once(self, upstream, endpoint):
        upstream.script(
            Reply(
                (
                    sse(_call(index=0, id="a", name="look", arguments="{")),
                    sse(_call(index=0, id="a", name="look", arguments="}")),
                    sse(_call(arguments=" ")),
                    sse(finish("tool_calls"), DONE),
                )
            )
        )

        events = await ask(endpoint)

        assert events[:-1] == [
            ToolCallDelta(0, "a", "look", "{"),
            ToolCallDelta(0, arguments="}"),
            ToolCallDelta(0, arguments=" "),
        ]

    async def test_the_old_function_call(self, upstream, endpoint):
        old = delta(None, function_call={"name": "look", "arguments": "{}"})
        upstream.script(Reply((sse(old, finish("function_call"), DONE),)))

        events = await ask(endpoint)

        assert events == [ToolCallDelta(0, "call_0", "look", "{}"), Finished("tool_calls", None)]

    async def test_nonsense_in_their_place_is_passed_over(self, upstream, endpoint):
        wrong = [delta(None, tool_calls=each) for each in ([1], [{"function": 7}], "x")]
        upstream.script(Reply((sse(*wrong, delta("Hi"), finish(), DONE),)))

        assert text(await ask(endpoint)) == "Hi"


def _call(*, index=None, id=None, name=None, arguments=None):  # noqa: A002 the wire's word
    function = {"name": name, "arguments": arguments}
    piece = {"index": index, "id": id, "type": "function", "function": function}
    return delta(None, tool_calls=[{k: v for k, v in piece.items() if v is not None}])
