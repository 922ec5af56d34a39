"""A connection and models of one's own, from the key to the answer, over the wire alone."""

from __future__ import annotations

import pytest

from models_registry.providers.factory import close_providers
from tests.asgi import Request
from tests.models_registry.upstream import Upstream, answer

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-her-own-0123456789"


@pytest.fixture
async def upstream():
    server = Upstream()
    yield server
    await close_providers()
    server.close()


async def ask(token, method, path, body=None, *, status=200):
    request = Request(method, path, token=token, body=body)
    answered = await request.read() if status == 204 else await request.json()
    assert request.status == status, answered
    return answered


async def names(token):
    return {each["name"] for each in (await ask(token, "GET", "models"))["results"]}


async def connected(token, upstream):
    """A connection of one's own, and what its server lists as models; their ids by name."""
    there = {"provider": "openai_compatible", "name": "Mine", "base_url": upstream.url}
    made = await ask(token, "POST", "connections", there | {"api_key": KEY}, status=201)
    found = await ask(token, "POST", f"connections/{made['id']}/discover")
    return made["id"], {each["name"]: each["id"] for each in found["added"]}


@pytest.mark.row("K9")
async def test_they_are_made_found_used_and_deleted(serving, token, upstream, settings):
    """O1: the key goes where its owner said, and nowhere else."""
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    there, models = await connected(token, upstream)
    upstream.script(answer("Hel", "lo"))
    tested = await ask(token, "POST", f"connections/{there}/test")
    made = await ask(token, "POST", "conversations", {"model": "gpt-4o"}, status=201)

    told = await ask(
        token, "POST", f"conversations/{made['id']}/messages", {"content": "Hi"}, status=201
    )

    assert (tested["ok"], tested["models"]) == (True, ["gpt-4o", "mock"])
    assert set(models) == {"gpt-4o", "mock"} <= await names(token)
    assert (told["message"]["content"], told["message"]["status"]) == ("Hello", "complete")
    assert [each.headers["authorization"] for each in upstream.chats] == [f"Bearer {KEY}"]
    await ask(token, "DELETE", f"connections/{there}", status=204)
    assert not await names(token) & set(models)
    refused = await ask(
        token, "POST", f"conversations/{made['id']}/messages", {"content": "Hi"}, status=404
    )
    assert refused["code"] == "not_found"


async def test_discovering_again_adds_nothing(serving, token, upstream, settings):
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    there, _models = await connected(token, upstream)

    again = await ask(token, "POST", f"connections/{there}/discover")

    assert (again["ok"], again["models"], again["added"]) == (True, ["gpt-4o", "mock"], [])


@pytest.mark.row("A7")
async def test_nobody_else_sees_or_uses_them(serving, token, stranger, upstream, settings):
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    there, models = await connected(token, upstream)
    upstream.script(answer("Hello"))
    theirs = await ask(stranger, "POST", "conversations", {}, status=201)
    one = models["mock"]

    assert not await names(stranger) & set(models)
    assert (await ask(stranger, "GET", "connections"))["results"] == []
    assert (await ask(stranger, "GET", "models?usable=false"))["results"] == []
    for method, path in (
        ("GET", f"models/{one}"),
        ("GET", f"models/{one}/access"),
        ("DELETE", f"models/{one}"),
        ("GET", f"connections/{there}"),
        ("POST", f"connections/{there}/test"),
        ("POST", f"connections/{there}/discover"),
        ("DELETE", f"connections/{there}"),
    ):
        await ask(stranger, method, path, status=404)
    hijacked = {"name": "mine", "connection": there}
    await ask(stranger, "POST", "models", hijacked, status=404)
    once = {"messages": [{"role": "user", "content": "Hi"}], "model": "mock"}
    await ask(stranger, "POST", "chat", once, status=404)
    sent = {"content": "Hi", "model": "mock"}
    await ask(stranger, "POST", f"conversations/{theirs['id']}/messages", sent, status=404)
    assert upstream.chats == []


@pytest.mark.row("O1")
async def test_an_address_that_may_not_be_reached_is_never_asked(
    serving, token, upstream, settings
):
    """O1, O2, O3: judged again at every connect, so also once the deployment closed it."""
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    there, _models = await connected(token, upstream)
    made = await ask(token, "POST", "conversations", {"model": "mock"}, status=201)
    upstream.requests.clear()
    settings.ALLOW_PRIVATE_UPSTREAMS = False

    found = await ask(token, "POST", f"connections/{there}/discover")
    told = await ask(
        token, "POST", f"conversations/{made['id']}/messages", {"content": "Hi"}, status=502
    )

    assert (found["ok"], found["added"]) == (False, [])
    assert told["code"] == "upstream_error"
    assert upstream.requests == []


async def test_a_disabled_one_says_why_it_cannot_be_used(serving, token, upstream, settings):
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    there, _models = await connected(token, upstream)

    await ask(token, "PATCH", f"connections/{there}", {"enabled": False})

    unusable = (await ask(token, "GET", "models?usable=false"))["results"]
    assert {each["reason"]["code"] for each in unusable} == {"connection_disabled"}
    assert {each["name"] for each in unusable} == {"gpt-4o", "mock"}
