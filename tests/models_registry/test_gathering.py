"""Words that come faster than anyone reads are handed on together, and never held for long."""

from contextlib import aclosing

import pytest

from models_registry.providers import streaming
from models_registry.providers.base import TextDelta
from models_registry.providers.factory import provider_at
from tests.models_registry.asking import ask, request, text
from tests.models_registry.upstream import HANG, Reply, Wait, delta, finish, sse

WORDS = [f"word{number} " for number in range(200)]


async def test_words_that_come_fast_are_handed_on_together(upstream, endpoint, clients):
    pieces = [sse(delta(word)) for word in WORDS]
    upstream.script(Reply((*pieces, sse(finish(), b"[DONE]"))))

    events = await ask(endpoint)

    assert text(events) == "".join(WORDS)
    assert len([each for each in events if isinstance(each, TextDelta)]) < len(WORDS) / 4


async def test_a_word_is_handed_on_before_another_is_waited_for(
    upstream, endpoint, clients, monkeypatch
):
    monkeypatch.setattr(streaming, "GATHER_SECONDS", 3_600)
    second = Wait()
    upstream.script(Reply((sse(delta("One")), second, sse(delta("Two")), HANG)))
    provider = provider_at(endpoint, upstream_name="mock")

    async with aclosing(provider.stream(request())) as events:
        first = await anext(events)
        second.set()
        assert (first, await anext(events)) == (TextDelta("One"), TextDelta("Two"))


@pytest.fixture
def waits(monkeypatch):
    """One for each time that something was waited for."""
    found = []

    async def wait(_gathering):
        found.append(1)

    monkeypatch.setattr(streaming.Gathering, "wait", wait)
    return found


async def test_of_much_that_is_there_already_nothing_waits(upstream, endpoint, clients, waits):
    """A model that is faster than 16 KiB in each wait would else be held up by us."""
    words = WORDS * 50
    upstream.script(Reply((b"".join(sse(delta(word)) for word in words), sse(finish(), b"[DONE]"))))

    events = await ask(endpoint)

    assert text(events) == "".join(words)
    assert len(waits) < len(words) / 500


async def test_pieces_of_a_long_line_wait_for_nothing(upstream, endpoint, clients, waits):
    long = sse(delta("x" * 900_000))
    pieces = [long[start : start + 50_000] for start in range(0, len(long), 50_000)]
    upstream.script(Reply((sse(delta("Some text ")), *pieces, sse(finish(), b"[DONE]"))))

    events = await ask(endpoint)

    assert text(events) == "Some text " + "x" * 900_000
    assert len(waits) <= 2
