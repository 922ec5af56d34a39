"""R7: an answered request goes with its last reference, not with a collection of garbage.

A server collects seldom (config.server): what stands in a circle would wait for hundreds of others.
"""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from common.api.bodies import validated
from common.api.fields import TextField
from common.api.views import ApiView, ApiViewSet
from common.errors import Invalid
from common.security_headers import SecurityHeaders
from common.streaming import EventStreamResponse, Slot, StreamingHandler
from tests.waiting import until

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

    def get(self, request):
        return self.post(request)

    def post(self, request):
        answer = Response({"text": request.data["text"]})
        self.seen.extend(map(weakref.ref, (self, request, answer)))
        if request.data["text"] == "refuse":
            raise Invalid
        return answer


class WatchedSet(Watched, ApiViewSet):  # type: ignore[misc]  # what both are goes together
    pass


@pytest.mark.parametrize("text", ["answer", "refuse"])
@pytest.mark.parametrize(
    ("kind", "actions"), [(Watched, ()), (WatchedSet, ({"get": "get", "post": "post"},))]
)
def test_a_view_lets_go_of_what_was_sent_and_of_what_it_answered(kind, actions, text):
    seen: list[weakref.ref[Any]] = []
    sent = json.dumps({"text": text})
    request = RequestFactory().post("/echo", data=sent, content_type="application/json")

    kind.as_view(*actions, seen=seen)(request)
    del request

    assert [each() for each in seen] == [None] * 3


class Sent(serializers.Serializer[Any]):
    text = TextField()


class Body(dict[str, Any]):
    """An object of JSON that can be watched."""


@pytest.mark.parametrize("text", ["answer", " "])
def test_a_serializer_lets_go_of_what_was_sent(text):
    body = Body(text=text)
    serializer = Sent(data=body)
    seen = [weakref.ref(each) for each in (body, serializer, serializer.fields["text"])]

    with suppress(ValidationError):
        assert validated(serializer) == {"text": "answer"}
    del body, serializer

    assert [each() for each in seen] == [None] * 3


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/v1/info", "application/json"), ("/admin/", "text/html"), ("/", "text/html")],
)
def test_the_headers_of_an_answer_let_go_of_its_request(path, kind):
    """A page may ask for a nonce, which is made of the request."""
    headers = SecurityHeaders()
    request: Any = RequestFactory().get(path)
    seen = weakref.ref(request)

    headers.begin(request)
    assert str(request.csp_nonce)
    headers.add(request, HttpResponse(content_type=kind), api=path.startswith("/api/"))
    del request

    assert seen() is None


async def test_the_handler_lets_go_of_a_stream_that_is_out():
    """With what it was sent through, which is the server's connection."""

    async def words():
        yield b"data: Hello"

    async def send(message):
        sent.append(message)

    sent: list[Any] = []
    response: Any = EventStreamResponse(words(), slot=Slot(uuid4()), credential_id=None)
    seen = weakref.ref(response)

    # As Django does: what the task of a request comes to is its answer.
    async def answer(response):
        await StreamingHandler().send_response(response, send)
        return response

    task = asyncio.create_task(answer(response))
    del response
    await task
    del task
    await asyncio.sleep(0)  # the loop holds what it has just told of

    assert seen() is None
    assert [message.get("body") for message in sent] == [None, b"data: Hello", b""]


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

    # The thread that closed it may be a moment behind with letting go.
    until(lambda: [each() for each in seen] == [None], "it was let go")
