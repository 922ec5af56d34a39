"""How likely the words were: taken as OpenAI writes it, and no more than any answer may hold."""

import pytest

from models_registry.errors import ProviderOverflow
from models_registry.providers.base import LogprobsDelta, TextDelta
from tests.models_registry import dashscope_wire
from tests.models_registry.asking import ask, ask_until_failure
from tests.models_registry.upstream import DONE, Reply, finish, sse
from tests.models_registry.wires import endpoint_at

pytestmark = pytest.mark.usefixtures("clients")

OTHER = {"token": "Ho", "logprob": -2, "bytes": None}
ENTRY = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [OTHER]}


def chunk(*entries):
    choice = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": list(entries)}}
    return sse({"choices": [choice]})


def told(events):
    return [each.entries for each in events if isinstance(each, LogprobsDelta)]


async def test_entries_stand_beside_the_text(upstream, endpoint):
    upstream.script(Reply((chunk(ENTRY), sse(finish(), DONE))))

    events = await ask(endpoint, options={"logprobs": True, "top_logprobs": 1})

    assert events[:2] == [TextDelta("Hi"), LogprobsDelta([ENTRY])]
    assert upstream.chats[0].json["top_logprobs"] == 1


async def test_dashscope_writes_them_alike(upstream):
    events = dashscope_wire.delta("Hi")
    events["output"]["choices"][0]["logprobs"] = {"content": [ENTRY]}
    end = dashscope_wire.events(dashscope_wire.finish())
    upstream.script(Reply((dashscope_wire.events(events), end)))

    found = await ask(endpoint_at(upstream, "dashscope"), options={"logprobs": True})

    assert told(found) == [[ENTRY]]


@pytest.mark.parametrize(
    "wrong", ["x", None, {}, {"token": 5, "logprob": 0}, {"token": "x", "logprob": "0"}], ids=str
)
async def test_what_is_malformed_is_left_out(upstream, endpoint, wrong):
    odd = ENTRY | {"bytes": [999], "top_logprobs": "x", "api_key": "sk-canary"}
    upstream.script(Reply((chunk(wrong, odd), sse(finish(), DONE))))

    [entries] = told(await ask(endpoint, options={"logprobs": True}))

    assert entries == [ENTRY | {"bytes": None, "top_logprobs": []}]


async def test_more_than_an_answer_may_hold_ends_it(upstream, endpoint, settings):
    """F10."""
    settings.PROVIDER_LOGPROBS_BYTES = 1_000
    upstream.script(Reply((*[chunk(ENTRY)] * 50, sse(finish(), DONE))))

    events, failure = await ask_until_failure(endpoint, options={"logprobs": True})

    assert isinstance(failure, ProviderOverflow)
    assert len(told(events)) < 50
