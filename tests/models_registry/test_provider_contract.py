"""What every provider promises (providers/base.py), asked of each of them."""

import asyncio
from dataclasses import replace

import pytest

from models_registry.errors import ProviderError
from models_registry.models import Connection
from models_registry.providers.base import (
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models_registry.providers.factory import close_providers, load_providers, provider_at
from models_registry.providers.vendors import VENDORS
from tests.models_registry.asking import ask_until_failure, finished, request, text
from tests.models_registry.upstream import DONE, HANG, Reply, sse
from tests.models_registry.wires import WIRES, endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")

DELTAS = (TextDelta, ReasoningDelta, ToolCallDelta)
SEARCH = {"type": "function", "function": {"name": "search_articles", "parameters": {}}}


@pytest.fixture(params=sorted(VENDORS))
def vendor(request):
    return VENDORS[request.param]


@pytest.fixture
def wire(vendor, upstream):
    """What the scripted server speaks; None for a vendor that has none."""
    return spoken_at(upstream, vendor.name) if vendor.takes_url else None


@pytest.fixture
def where(vendor, wire, upstream):
    """An endpoint of each vendor; those that speak to a server speak to the scripted one."""
    if wire is None:
        return replace(endpoint_at(upstream, vendor.name), base_url="", api_key="")
    upstream.script(wire.answer("Hello, ", "you."))
    return endpoint_at(upstream, vendor.name)


def test_every_protocol_that_has_a_wire_is_tested():
    assert {vendor.protocol for vendor in VENDORS.values() if vendor.takes_url} == set(WIRES)


def test_every_vendor_is_a_choice_and_the_reverse():
    assert set(VENDORS) == set(Connection.Provider.values)


async def test_deltas_and_then_one_finish_with_usage(where):
    events, failure = await ask_until_failure(where)

    assert failure is None
    assert text(events)
    assert all(isinstance(event, DELTAS) for event in events[:-1])
    usage = finished(events).usage
    assert isinstance(usage, Usage)
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0


async def test_closing_early_ends_it(where):
    stream = provider_at(where, upstream_name="m").stream(request())
    await anext(stream)

    await stream.aclose()

    assert [event async for event in stream] == []


async def test_being_cancelled_ends_it(where):
    stream = provider_at(where, upstream_name="m").stream(request())
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    task.cancel()

    await asyncio.gather(task, return_exceptions=True)
    await stream.aclose()

    assert task.done()


async def test_a_tool_call_has_one_id_one_name_and_json(where, wire, upstream):
    if wire:
        upstream.script(wire.tool_call("search_articles", '{"query"', ': "x"}'))

    events, failure = await ask_until_failure(where, tools=[SEARCH])

    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert failure is None
    assert [call.id for call in calls if call.id] == [calls[0].id]
    assert [call.name for call in calls if call.name] == ["search_articles"]
    assert "".join(call.arguments for call in calls).startswith('{"query"')
    assert finished(events).reason == "tool_calls"


@pytest.mark.parametrize(
    "reply",
    [401, 429, 500, Reply(()), Reply((b"<html>",)), Reply((sse(DONE),))],
)
async def test_failures_are_provider_errors(where, wire, upstream, reply):
    upstream.script(wire.refusal(reply) if wire and isinstance(reply, int) else reply)

    events, failure = await ask_until_failure(where)

    # A provider without a server has nothing that could fail.
    assert (failure is None) is (VENDORS[where.provider].protocol == "offline")
    assert failure is None or isinstance(failure, ProviderError)
    assert (failure is None) is any(isinstance(event, Finished) for event in events)


async def test_lists_its_models(where):
    names = await provider_at(where).list_models()

    assert names
    assert all(names)


async def test_all_can_be_loaded_and_closed(where):
    load_providers()
    await ask_until_failure(where)

    await close_providers()
    await close_providers()


async def test_two_streams_at_once_do_not_meet(where, wire, upstream):
    if wire:
        upstream.script(Reply((wire.hanging("Hi"), HANG)))
    one = provider_at(where, upstream_name="m").stream(request())
    two = provider_at(where, upstream_name="m").stream(request())

    first, second = await asyncio.gather(anext(one), anext(two))

    assert first == second
    await one.aclose()
    await two.aclose()
