"""`/v1` as a client of OpenAI's asks it, on the test's own loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.asgi import Request
from tests.chat.serving import serving, stranger, token

__all__ = ["serving", "stranger", "token"]

COMPLETIONS = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hi"}]

Asking = Callable[..., Request]


@pytest.fixture
def ask(serving: None, token: str, model: Any) -> Asking:
    """`ask(stream=True)`: a good request with these fields besides; None takes one out."""

    def request(*, headers: dict[str, str] | None = None, **fields: Any) -> Request:
        body = {"model": "echo", "messages": HI} | fields
        sent = {name: value for name, value in body.items() if value is not None}
        return Request("POST", COMPLETIONS, token=token, body=sent, headers=headers)

    return request


async def chunks(request: Request) -> list[Any]:
    """The chunks of a stream that is read to its end; the last is "[DONE]"."""
    text = (await request.read()).decode()
    assert request.headers["content-type"] == "text/event-stream", text
    assert "\nid:" not in text
    assert "\nretry:" not in text
    found = [
        line.removeprefix("data: ") for line in text.split("\n\n") if line[:1] not in {"", ":"}
    ]
    assert found[-1] == "[DONE]"
    return [*map(json.loads, found[:-1]), "[DONE]"]


async def error_of(request: Request, status: int) -> Any:
    """The error that it is refused with."""
    body = await request.json()
    assert request.status == status, body
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert request.headers["x-request-id"]
    return body["error"]
