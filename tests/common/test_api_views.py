"""The bases of every REST view: strict in, problems out, rendered in the view's own thread."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from common import errors
from common.api.fields import JSONObjectField, TextField
from common.api.parsers import StrictJSONParser
from common.api.renderers import EventStreamRenderer, JSONRenderer
from common.api.views import ApiView

factory = RequestFactory()


class Body(serializers.Serializer[Any]):
    text = TextField(max_length=5)
    more = JSONObjectField(required=False)


class EchoView(ApiView):
    """Answers with what was understood."""

    authentication_classes: Any = ()
    permission_classes: Any = (AllowAny,)
    needs_body = True

    def post(self, request):
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.validated_data, status=201)


def post(raw: Any, *, view: type[ApiView] = EchoView, **headers: str) -> Any:
    sent = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    kind = headers.pop("content_type", "application/json")
    request = factory.post("/echo", data=sent, content_type=kind, headers=headers)
    return view.as_view()(request)


def code_of(answer: Any) -> tuple[int, str]:
    assert answer["Content-Type"] == "application/problem+json"
    return answer.status_code, json.loads(answer.content)["code"]


def test_an_answer_leaves_the_view_rendered():
    """Rendering it later would cost a thread hop."""
    answer = post({"text": " 你好 "})

    assert type(answer) is HttpResponse
    assert answer.status_code == 201
    assert answer["Content-Type"] == "application/json"
    assert json.loads(answer.content) == {"text": " 你好 "}


@pytest.mark.row("I10")
@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"3", b'"text"', b"{", b"{} {}"])
def test_only_an_object_is_an_object(raw):
    """I10: arrays, scalars, null or no body are `invalid`."""
    assert code_of(post(raw)) == (400, "invalid")


@pytest.mark.row("I8")
@pytest.mark.parametrize(
    "raw",
    [
        b'{"text": "\\u0000"}',
        b'{"text": "\\ud800"}',
        b'{"text": "ok", "more": {"\\ud800": 1}}',
        b'{"text": "ok", "more": {"a": ["\\u0000"]}}',
        b'{"text": 5}',
        b'{"text": true}',
        b'{"text": "   "}',
        b'{"text": ""}',
        b'{"text": "123456"}',
        b'{"text": "ok", "more": []}',
    ],
)
def test_text_is_text_and_sound(raw):
    """I4, I8."""
    assert code_of(post(raw)) == (400, "invalid")


def test_length_counts_code_points():
    assert post({"text": "😀" * 5}).status_code == 201
    assert post({"text": "😀" * 6}).status_code == 400


@pytest.mark.row("I9")
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "*/*",
        "application/*",
        "*/*; charset=utf-8",
        "",
    ],
)
def test_only_json_in_utf8_is_taken(kind):
    assert code_of(post(b'{"text": "ok"}', content_type=kind)) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/JSON;charset=UTF8"]
)
def test_utf8_may_be_named(kind):
    assert post({"text": "ok"}, content_type=kind).status_code == 201


@pytest.mark.row("I9")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x"])
def test_encoded_bodies_are_refused(encoding):
    """I9: `Content-Encoding` 415."""
    answer = post({"text": "ok"}, **{"Content-Encoding": encoding})

    assert code_of(answer) == (415, "unsupported_media_type")


@pytest.mark.row("A5")
@pytest.mark.parametrize("query", ["ordering=text", "ordering=", "cursor=x", "text=a&ordering=a"])
def test_an_order_or_a_page_of_what_has_none_is_invalid(query):
    """I6."""
    request = factory.post(
        f"/echo?{query}", data=b'{"text": "ok"}', content_type="application/json"
    )

    assert code_of(EchoView.as_view()(request)) == (400, "invalid")


def test_options_needs_no_body():
    """What a view is, not what it would do."""
    answer = EchoView.as_view()(factory.options("/echo"))

    assert answer.status_code == 200
    assert "POST" in answer["Allow"]


def test_a_wrong_method_is_a_problem():
    assert code_of(EchoView.as_view()(factory.get("/echo"))) == (405, "method_not_allowed")


class FailingView(ApiView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    failure: Exception = RuntimeError("secret-in-a-bug at /srv/parley/x.py SELECT 1")

    def post(self, request):
        raise self.failure


@pytest.mark.row("G3")
def test_a_bug_tells_nothing_but_its_request(caplog):
    """5xx answers hold `request_id` and nothing of code, paths or SQL."""
    request: Any = factory.post("/echo", data=b"{}", content_type="application/json")
    request.request_id = "request-1234"

    answer = FailingView.as_view()(request)

    found = json.loads(answer.content)
    assert answer.status_code == 500
    assert (found["code"], found["request_id"]) == ("internal", "request-1234")
    assert "secret" not in answer.content.decode()
    assert "RuntimeError" in caplog.text


def test_a_refusal_keeps_its_headers(monkeypatch):
    monkeypatch.setattr(FailingView, "failure", errors.RateLimited(retry_after=7))

    answer = post({}, view=FailingView)

    assert answer["Retry-After"] == "7"
    assert code_of(answer) == (429, "rate_limited")


class StreamOrNotView(EchoView):
    renderer_classes = (JSONRenderer, EventStreamRenderer)


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "application/json", "*/*", "text/html", "image/png", "x", ""]
)
def test_no_accept_header_is_refused(accept):
    """E9; and a problem stays a problem when a stream was asked for."""
    assert post({"text": "ok"}, view=StreamOrNotView, Accept=accept).status_code == 201
    assert code_of(post({}, view=StreamOrNotView, Accept=accept)) == (400, "invalid")


class GuardedView(EchoView):
    permission_classes = ()

    def check_permissions(self, request):
        self.permission_denied(request)


def test_a_stranger_who_may_not_is_asked_to_sign_in():
    answer = post({}, view=GuardedView)

    assert code_of(answer) == (401, "unauthenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.row("R3")
def test_anonymous_calls_are_counted_by_address(settings):
    """R3: those that end in 401 count too."""
    settings.RATES = {**settings.RATES, "api_anonymous": [(2, 60)]}

    assert [post({}, view=GuardedView).status_code for _ in range(3)] == [401, 401, 429]
    assert post({"text": "ok"}).status_code == 429


@pytest.mark.row("R3")
def test_people_are_counted_apart_from_their_address(settings):
    settings.RATES = {**settings.RATES, "api_user": [(1, 60)], "api_anonymous": [(0, 60)]}

    person = SimpleNamespace(is_authenticated=True, pk=uuid4())

    class Someone:
        def authenticate(self, request):
            return person, None

        def authenticate_header(self, request):
            return "Bearer"

    class SignedInView(EchoView):
        authentication_classes = (Someone,)

    assert [post({"text": "ok"}, view=SignedInView).status_code for _ in range(2)] == [201, 429]


def test_the_only_parser_is_the_strict_one(settings):
    assert EchoView.parser_classes == [StrictJSONParser]


@pytest.mark.row("G3")
@pytest.mark.parametrize("length", [101, 10_000])
def test_no_answer_repeats_a_long_input(length):
    """No answer repeats over 100 characters of input."""

    class Choice(serializers.Serializer[Any]):
        text = serializers.ChoiceField(["a"])

    class ChoiceView(EchoView):
        def post(self, request):
            Choice(data=request.data).is_valid(raise_exception=True)

    answer = post({"text": "x" * length}, view=ChoiceView)

    assert answer.status_code == 400
    assert "x" * 101 not in answer.content.decode()
    assert "x" * 101 not in post({}, content_type="x/" + "x" * length).content.decode()
