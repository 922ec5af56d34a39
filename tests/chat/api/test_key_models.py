"""A key that is bound to some models: no other answers it, by name, by default or as a fallback."""

from __future__ import annotations

import pytest

from accounts.services import api_keys
from chat.models import Turn
from common.db import in_thread
from models_registry.providers.base import Finished, TextDelta
from models_registry.services.routing import resolve_model, routes_for
from tests.asgi import Request, Socket
from tests.chat.conftest import make_model

pytestmark = pytest.mark.django_db(transaction=True)

ONCE = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def other(model):
    return make_model("other")


@pytest.fixture
def bound(alice, model, other):
    """Good for `echo` alone."""
    return api_keys.create(alice.user, name="x", models=["echo"], actor=alice.user).text


async def call(token, method, path, body=None):
    request = Request(method, path, token=token, body=body)
    answered = await request.json()
    return request.status, answered


async def test_another_model_is_refused_by_name(serving, bound, conversation):
    path = f"conversations/{conversation.id}"
    for method, where, body in [
        ("POST", "chat", ONCE | {"model": "other"}),
        ("POST", f"{path}/messages", {"content": "Hi", "model": "other"}),
        ("POST", f"{path}/messages/stream", {"content": "Hi", "model": "other"}),
        ("POST", "conversations", {"model": "other"}),
        ("PATCH", path, {"model": "other"}),
    ]:
        status, problem = await call(bound, method, where, body)
        assert (status, problem["code"]) == (403, "model_not_allowed"), where
    assert not await Turn.objects.aexists()


async def test_what_the_owner_may_not_use_does_not_exist(serving, bound):
    status, problem = await call(bound, "POST", "chat", ONCE | {"model": "nonsense"})

    assert (status, problem["code"]) == (404, "not_found")


async def test_on_a_socket_too(serving, bound):
    async with Socket(token=bound) as socket:
        told = await socket.ask({"type": "chat", "content": "Hi", "model": "other", "ref": "r"})

    assert (told["type"], told["code"], told["ref"]) == ("error", "model_not_allowed", "r")


async def test_a_conversation_of_another_model_is_not_answered(serving, bound, conversation):
    conversation.model = "other"
    await conversation.asave()

    status, problem = await call(
        bound, "POST", f"conversations/{conversation.id}/messages", {"content": "Hi"}
    )

    assert (status, problem["code"]) == (403, "model_not_allowed")


async def test_its_own_model_answers(serving, bound, script):
    script(TextDelta("Hello"), Finished("stop"))

    status, answer = await call(bound, "POST", "chat", ONCE | {"model": "echo"})

    assert (status, answer["content"]) == (200, "Hello")


async def test_the_default_is_one_of_its_own(serving, alice, model, other, script):
    text = (
        await in_thread(api_keys.create)(
            alice.user, name="x", models=["nonsense", "other"], actor=alice.user
        )
    ).text
    script(TextDelta("Hello"), Finished("stop"))

    status, answer = await call(text, "POST", "chat", ONCE)

    assert (status, answer["model"]) == (200, "other")


async def test_where_none_of_its_own_is_left_nothing_answers(serving, alice, model):
    made = await in_thread(api_keys.create)(
        alice.user, name="x", models=["nonsense"], actor=alice.user
    )

    status, problem = await call(made.text, "POST", "chat", ONCE)

    assert (status, problem["code"]) == (403, "model_not_allowed")


async def test_only_its_own_are_listed(serving, bound, token, model, other):
    async def names(text):
        _status, listed = await call(text, "GET", "models")
        return {each["name"] for each in listed["results"]}

    assert {"echo", "other"} <= await names(token)
    assert await names(bound) == {"echo"}
    assert (await call(bound, "GET", f"models/{model.pk}"))[0] == 200
    assert (await call(bound, "GET", f"models/{other.pk}"))[0] == 404


async def test_a_fallback_outside_its_list_is_none(serving, bound, token, model, other, script):
    model.fallbacks = [str(other.pk)]
    await model.asave()

    for text, expected in ((token, ["echo", "other"]), (bound, ["echo"])):
        script(TextDelta("Hello"), Finished("stop"))
        status, _answer = await call(text, "POST", "chat", ONCE | {"model": "echo"})
        turn = await Turn.objects.order_by("-id").afirst()

        assert (status, [route["name"] for route in turn.routes]) == (200, expected)


def test_the_routes_of_a_key_are_those_of_its_list(alice, model, other):
    third = make_model("third")
    model.fallbacks = [str(other.pk), str(third.pk)]
    model.save()
    found = resolve_model(alice.user, "echo", only={"echo", "third"})

    routes = routes_for(found, alice.user, only={"echo", "third"})

    assert [route.name for route in routes] == ["echo", "third"]
