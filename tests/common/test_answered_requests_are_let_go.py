"""R7: an answered request goes with its last reference, not with a collection of garbage.

A server collects seldom (config.server): what stands in a circle would wait for hundreds of others.
"""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from common.api.views import ApiView
from common.errors import Invalid
from common.streaming import StreamingHandler

pytestmark = pytest.mark.row("R7")

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "path": "/health/live",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 50_000),
}


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Watched(ApiView):
    """Answers with a Response, or refuses; `seen` are weak references to what it worked with."""

    authentication_classes: Any = ()
    permission_classes: Any = (AllowAny,)
    seen: Any = ()

    def post(self, request):
        answer = Response({"text": request.data["text"]})
        self.seen.extend(map(weakref.ref, (self, request, answer)))
        if request.data["text"] == "refuse":
            raise Invalid
        return answer


@pytest.mark.parametrize("text", ["answer", "refuse"])
def test_a_view_lets_go_of_what_was_sent_and_of_what_it_answered(text):
    seen: list[weakref.ref[Any]] = []
    sent = json.dumps({"text": text})
    request = RequestFactory().post("/echo", data=sent, content_type="application/json")

    Watched.as_view(seen=seen)(request)
    del request

    assert [each() for each in seen] == [None] * 3


async def test_the_handler_lets_go_of_an_answer_when_the_server_says_that_it_is_out():
    """To Django the end of an answer looks like a client that has left."""
    seen: list[weakref.ref[Any]] = []
    out = asyncio.Event()
    coming = [{"type": "http.request", "body": b""}]

    class Watching(StreamingHandler):
        async def send_response(self, response, send):
            seen.append(weakref.ref(response))
            await super().send_response(response, send)

    async def receive():
        if not coming:
            await out.wait()
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body" and not message.get("more_body"):
            out.set()
            # As uvicorn's: whoever waits for the end hears of it before the answer's task is done.
            await asyncio.sleep(0)

    await Watching()(SCOPE, receive, send)

    assert [each() for each in seen] == [None]
