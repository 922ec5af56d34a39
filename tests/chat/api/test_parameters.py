"""What a client may ask of a model (O9)."""

from __future__ import annotations

import pytest
from rest_framework.exceptions import ValidationError

from chat.api.parameters import read_parameters
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def path(conversation) -> str:
    return f"conversations/{conversation.id}/messages"


@pytest.mark.row("O9")
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("temperature", 2, True),
        ("temperature", 2.01, False),
        ("temperature", "1", False),
        ("temperature", True, False),
        ("temperature", None, True),
        ("max_tokens", 1, True),
        ("max_tokens", 0, False),
        ("max_tokens", 1.5, False),
        ("top_p", -0.1, False),
        ("stop", "END", True),
        ("stop", ["a"] * 5, False),
        ("stop", ["a" * 65], False),
        ("stop", [""], False),
        ("n", 1, True),
        ("n", 2, False),
        ("presence_penalty", 3, False),
        ("seed", 7, True),
        ("seed", 7.5, False),
    ],
)
async def test_parameters_have_ranges(
    serving, token, path, conversation, script, name, value, allowed
):
    """O9."""
    script(TextDelta("a"), Finished("stop"))
    body = {"content": "Hi", "parameters": {name: value}}

    request = Request("POST", path, token=token, body=body)
    answer = await request.json()

    assert request.status == (201 if allowed else 400)
    if not allowed:
        assert list(answer["errors"]) == [f"parameters.{name}"]


def test_a_range_of_one_number_is_told_as_that_number():
    with pytest.raises(ValidationError) as refused:
        read_parameters({"n": 2})

    assert refused.value.detail == {"n": ["Only 1 is possible."]}


@pytest.mark.row("O9")
async def test_parameters_of_ours_never_get_through(serving, token, path, script):
    """O9: an address, a key, headers in the body reach nobody."""
    script(TextDelta("a"), Finished("stop"))
    evil = {
        "api_base": "http://127.0.0.1:1/",
        "base_url": "http://127.0.0.1:1/",
        "api_key": "x",
        "extra_headers": {"a": "b"},
        "extra_body": {"a": "b"},
        "timeout": 1,
        "temperature": 1,
        "something": {"new": 1},
    }

    request = Request("POST", path, token=token, body={"content": "Hi", "parameters": evil})
    await request.read()

    assert request.status == 201
    [(route, asked)] = script.requests
    assert route.endpoint.base_url == "http://127.0.0.1:9/v1"
    assert asked.temperature == 1
    assert "127.0.0.1:1/" not in repr(asked)
