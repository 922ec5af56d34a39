"""What an address that streams answers to who asks for something else, or for nothing (E9)."""

from __future__ import annotations

import pytest

from common.streaming import Slot
from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request
from tests.events import text_of

pytestmark = pytest.mark.django_db(transaction=True)

HI = {"content": "Hi"}


@pytest.fixture
def path(conversation) -> str:
    return f"conversations/{conversation.id}/messages/stream"


async def answered(script, path: str, token: str) -> str:
    """The id of an answer that is complete."""
    script(TextDelta("a"), Finished("stop"))
    events = await Request("POST", path, token=token, body=HI).events()
    return str(events[0]["message_id"])


@pytest.mark.row("E9")
async def test_who_accepts_json_alone_gets_json_at_the_end(serving, token, path, script):
    script(TextDelta("a"), Finished("stop"))

    asks_json = {"Accept": "application/json"}
    sent = Request("POST", path, token=token, body=HI, headers=asks_json)
    body = await sent.json()
    again = Request(
        "GET", f"messages/{body['message']['id']}/stream", token=token, headers=asks_json
    )

    assert (sent.status, body["message"]["content"]) == (201, "a")
    assert (await again.json())["content"] == "a"


@pytest.mark.parametrize(
    "accept", ["*/*", "text/*", "application/json, text/plain, */*", "text/event-stream", ""]
)
async def test_who_takes_a_stream_at_all_gets_it(serving, token, path, script, accept):
    """Libraries list JSON first; the address says that it streams."""
    script(TextDelta("a"), Finished("stop"))

    stream = Request("POST", path, token=token, body=HI, headers={"Accept": accept})

    assert text_of(await stream.events()) == "a"


@pytest.mark.row("E9")
@pytest.mark.parametrize("accept", ["application/json", "text/html", "image/png", "x"])
async def test_what_is_no_stream_is_not_labelled_as_one(serving, token, path, script, accept):
    """E9: nobody is refused for asking, and JSON says that it is JSON."""
    message_id = await answered(script, path, token)
    url = f"messages/{message_id}/stream"

    shown = Request("GET", url, token=token, headers={"Accept": accept})

    assert (await shown.json())["id"] == message_id
    assert (shown.status, shown.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", "*/*"])
async def test_options_of_a_stream_are_json(serving, token, path, script, accept):
    message_id = await answered(script, path, token)
    allowed = {
        f"messages/{message_id}/stream": "GET, HEAD, OPTIONS",
        f"messages/{message_id}/regenerate": "POST, OPTIONS",
        path: "POST, OPTIONS",
        "chat": "POST, OPTIONS",
    }
    for url, methods in allowed.items():
        asked = Request("OPTIONS", url, token=token, headers={"Accept": accept})

        assert (await asked.json())["parses"] == ["application/json"]
        assert (asked.status, asked.headers["content-type"]) == (200, "application/json")
        assert asked.headers["allow"] == methods


@pytest.mark.row("E9")
async def test_head_is_answered_with_headers_and_nothing_more(serving, token, alice, path, script):
    """E9: and holds no place among the streams."""
    message_id = await answered(script, path, token)

    head = Request("HEAD", f"messages/{message_id}/stream", token=token)

    assert await head.read() == b""
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
    assert (await Request("HEAD", path, token=token).begun()) == 405
    assert alice.user.pk not in Slot._held  # noqa: SLF001
