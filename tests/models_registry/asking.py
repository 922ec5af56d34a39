"""Ask a provider and collect what it says."""

from contextlib import aclosing

from models_registry.providers.base import ChatRequest, Finished, ReasoningDelta, TextDelta
from models_registry.providers.factory import provider_at

HELLO = [{"role": "user", "content": "Hello"}]


def request(**fields):
    return ChatRequest(**{"messages": HELLO} | fields)


async def ask(endpoint, **fields):
    """All events of one answer."""
    provider = provider_at(endpoint, upstream_name="mock")
    async with aclosing(provider.stream(request(**fields))) as events:
        return [event async for event in events]


async def ask_until_failure(endpoint, **fields):
    """The events before the failure, and the failure (None if there was none)."""
    provider = provider_at(endpoint, upstream_name="mock")
    events = []
    try:
        async with aclosing(provider.stream(request(**fields))) as stream:
            async for event in stream:
                events.append(event)
    except Exception as exc:  # noqa: BLE001 the test says which it must be
        return events, exc
    return events, None


def text(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def reasoning(events):
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def finished(events):
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Finished) for event in events[:-1])
    return events[-1]
