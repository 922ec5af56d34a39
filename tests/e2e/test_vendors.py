"""A person's answer from vendors that speak protocols of their own, over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import serving
from tests.e2e.person import register
from tests.events import text_of
from tests.models_registry.upstream import HANG, Reply, Upstream
from tests.models_registry.wires import KEY, spoken_at

VENDORS = ["anthropic", "dashscope"]


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, Upstream]]:
    """A server of each; what it lists is named after it."""
    started = {}
    for vendor in VENDORS:
        upstream = started[vendor] = Upstream()
        spoken_at(upstream, vendor)
        upstream.models = [f"{vendor}-found"]
    yield started
    for upstream in started.values():
        upstream.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, upstream, vendors) -> Iterator[Any]:
    named = {
        f"{vendor.upper()}_{part}": value
        for vendor, server in vendors.items()
        for part, value in (("API_KEY", KEY), ("BASE_URL", server.url))
    }
    folder = tmp_path_factory.mktemp("vendors")
    with serving(folder, upstream, ALLOW_PRIVATE_UPSTREAMS="true", **named) as started:
        yield started


@pytest.fixture(scope="module")
def person(servers):
    return register(servers[0])


def connect(person, vendor: str, server: Upstream) -> str:
    """A connection and a model of the person's own, as its name."""
    name = f"{vendor}-own"
    mine = {"scope": "personal", "provider": vendor, "name": "Mine", "api_key": KEY}
    made = person.call("POST", "connections", mine | {"base_url": server.url})
    assert made.status == 201, made.body
    model = {"scope": "personal", "name": name, "connection": made.json()["id"]}
    assert person.call("POST", "models", model).status == 201
    return name


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_the_environment_named_answers(person, vendors, vendor):
    wire = spoken_at(vendors[vendor], vendor)
    vendors[vendor].script(wire.answer("Hel", "lo", prompt=9, completion=2))
    conversation = person.conversation(model=f"{vendor}-found")

    events = await person.read(f"conversations/{conversation}/messages/stream", {"content": "Hi"})

    assert text_of(events) == "Hello"
    message = person.call("GET", f"messages/{events[0]['message_id']}").json()
    assert (message["status"], message["usage"]["completion_tokens"]) == ("complete", 2)


@pytest.mark.row("F15")
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_persons_own_connection_is_stopped_at_the_vendor_too(person, vendors, vendor):
    """F15"""
    server = vendors[vendor]
    server.script(Reply((spoken_at(server, vendor).hanging("Some text"), HANG)))
    conversation = person.conversation(model=connect(person, vendor, server))
    path = f"conversations/{conversation}/messages/stream"

    async with person.stream(path, {"content": "Hi"}) as events:
        start = await anext(events)
        assert (await anext(events))["content"] == "Some text"
        person.call("POST", f"messages/{start['message_id']}/stop")
        assert await server.chats[-1].was_left()

    assert server.chats[-1].headers["authorization"] == f"Bearer {KEY}"
