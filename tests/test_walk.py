"""A1: each route and frame, tried by its owner, by nobody, by a stranger, and broken.

The table is `tests/walk_table.py`. What a walk of the URLconf and of the consumers finds and the
table does not name fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from channels.routing import URLRouter
from django.urls import URLPattern, URLResolver, get_resolver

from chat.models import Message
from common.db import in_thread
from config.routing import websocket_urlpatterns
from tests.asgi import Closed, Request, Socket
from tests.chat.conftest import _no_turn_left, script
from tests.chat.serving import serving
from tests.walk_table import FRAMES, ROUTES, WRONG_QUERIES, Frame, Route
from tests.walk_world import World, world

__all__ = ["_no_turn_left", "script", "serving", "world"]

pytestmark = pytest.mark.django_db(transaction=True)

METHODS = ("get", "post", "put", "patch", "delete")


# -- the table is whole ------------------------------------------------------------------------
def _routes(patterns: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if route != "admin/":  # its own tests walk it
                yield from _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def _methods(view: Any) -> list[str]:
    if actions := getattr(view, "actions", None):
        return sorted(set(actions) - {"head"})  # DRF adds it at the first call
    if view_class := getattr(view, "cls", None):
        return [method for method in METHODS if hasattr(view_class, method)]
    return ["get"]


@pytest.mark.row("A1")
def test_every_route_is_in_the_table():
    found = {
        f"{method.upper()} {route}"
        for route, view in _routes(get_resolver().url_patterns)
        for method in _methods(view)
    }

    assert found == {str(route) for route in ROUTES}


@pytest.mark.row("A1")
def test_every_frame_is_in_the_table():
    found = {
        "/" + str(route.pattern): set(consumer.frames)
        for route in websocket_urlpatterns()
        if (consumer := getattr(route.callback, "consumer_class", None)) is not None
    }

    assert isinstance(URLRouter(websocket_urlpatterns()), URLRouter)
    assert found == {path: {frame.type for frame in frames} for path, frames in FRAMES.items()}


# -- routes ------------------------------------------------------------------------------------
def _named(routes: list[Route]) -> Any:
    return pytest.mark.parametrize("route", routes, ids=str)


def _ask(world: World, route: Route, **options: Any) -> Request:
    body = world.fill(route.body) if route.body is not None else None
    asked: dict[str, Any] = {"body": body, "headers": dict(route.headers)} | options
    return Request(route.method, world.path(route), **asked)


def _check_headers(request: Request) -> None:
    """X4, I12: on whatever is answered."""
    assert request.headers["x-content-type-options"] == "nosniff"
    assert request.headers["referrer-policy"] == "same-origin"
    assert "no-store" in request.headers["cache-control"]
    assert len(request.headers["x-request-id"]) >= 8


@pytest.mark.row("X4")
@_named(ROUTES)
async def test_the_good_request_is_answered(world, route):
    request = _ask(world, route, token="" if route.open else world.holder(route))
    body = await request.read()

    assert request.status == route.status, body
    _check_headers(request)
    if route.streams:
        assert request.headers["content-type"] == "text/event-stream"


# What OpenAI's clients know our codes as.
_THEIRS = {
    "unauthenticated": "invalid_api_key",
    "token_invalid": "invalid_api_key",
    "invalid": None,
}


def _is_refused_as_openai(request: Request, body: Any, status: int, *codes: str) -> bool:
    error = body.get("error", {})
    return (
        request.status == status
        and error.get("code") in {_THEIRS.get(code, code) for code in codes}
        and error.keys() == {"message", "type", "param", "code"}
        and request.headers["content-type"] == "application/json"
    )


def _is_refused(request: Request, problem: dict[str, Any], status: int, *codes: str) -> bool:
    """What every refusal looks like, and no part of it missing."""
    return (
        request.status == problem.get("status") == status
        and problem.get("code") in codes
        and request.headers["content-type"] == "application/problem+json"
        and problem.get("request_id") == request.headers["x-request-id"]
    )


class Walk:
    """Refusals that were expected and did not come, told together at the end."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    async def refused(self, request: Request, status: int, *codes: str, what: object) -> Any:
        problem = await request.json()
        speaks = request.scope["path"].startswith("/v1/")
        is_refused = _is_refused_as_openai if speaks else _is_refused
        if not is_refused(request, problem, status, *codes):
            self.wrong.append(f"{what}: {request.status} {problem}")
        _check_headers(request)
        return problem

    def ends(self) -> None:
        assert not self.wrong, "\n".join(self.wrong)


@pytest.fixture
def walk() -> Iterator[Walk]:
    begun = Walk()
    yield begun
    begun.ends()


@pytest.mark.row("A1")
async def test_nobody_gets_401(world, walk):
    for route in ROUTES:
        for token in ("", "nonsense", world.names["refresh"]) if not route.open else ():
            request = _ask(world, route, token=token)
            await walk.refused(request, 401, "unauthenticated", "token_invalid", what=route)
            assert request.headers["www-authenticate"]


@pytest.mark.row("A1", "A2")
async def test_another_person_gets_404(world, walk):
    """What is not yours does not exist."""
    for route in ROUTES:
        if route.owned:
            request = _ask(world, route, token=world.stranger)
            await walk.refused(request, 404, "not_found", what=route)


@pytest.mark.row("A1")
async def test_without_the_permission_one_gets_403(world, walk):
    for route in ROUTES:
        if route.managed:
            request = _ask(world, route, token=world.access)
            await walk.refused(request, 403, "permission_denied", what=route)


@pytest.mark.row("A1", "K3")
async def test_a_key_reaches_what_its_scope_says_and_nothing_else(world, walk):
    """A key without the scope gets 403 on every route that asks who is calling."""
    for route in ROUTES:
        in_api = route.pattern.startswith(("api/v1/", "v1/"))
        takes_credentials = in_api and "/auth/" not in route.pattern
        if not takes_credentials or route.pattern == "api/v1/schema":
            continue
        for scope, key in world.keys.items():
            if scope not in route.keys.split():
                request = _ask(world, route, token=key)
                await walk.refused(request, 403, "permission_denied", what=(route, scope))


@_named([route for route in ROUTES if route.keys])
async def test_a_key_with_the_scope_is_answered(world, route):
    *_others, scope = route.keys.split()
    request = _ask(world, route, token=world.keys[scope])
    body = await request.read()

    assert request.status == route.status, body


def _field(problem: dict[str, Any]) -> str:
    if "error" in problem:
        return str(problem["error"]["param"]).partition("[")[0].partition(".")[0]
    return str(next(iter(problem["errors"]))).split(".")[0]


async def test_one_broken_field_is_400_and_named(world, walk):
    for route in ROUTES:
        good = world.fill(route.body or {})
        for name, value in good.items():
            broken: Any = 5 if isinstance(value, list) else []
            request = _ask(world, route, token=world.holder(route), body=good | {name: broken})
            problem = await walk.refused(request, 400, "invalid", what=(route, name))
            assert _field(problem) == name, (route, name)


@pytest.mark.row("I10", "I3", "I4")
async def test_a_body_that_is_no_object_is_400(world, walk):
    for route in ROUTES:
        if route.body is None:
            continue
        for body in (b"[]", b"5", b"null", b"{", b'{"a": 1e999}', b'{"\\ud800": 1}', b"\xff"):
            request = _ask(world, route, token=world.holder(route), body=body)
            await walk.refused(request, 400, "invalid", what=(route, body))
        if "regenerate" not in route.pattern:  # there the model and the parameters may be left out
            request = _ask(world, route, token=world.holder(route), body=b"")
            await walk.refused(request, 400, "invalid", what=(route, "no body"))


@pytest.mark.row("I9")
async def test_a_body_that_is_no_json_is_415(world, walk):
    for route in ROUTES:
        if route.body is None:
            continue
        sent = json.dumps(world.fill(route.body)).encode()
        for headers in (
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": "multipart/form-data; boundary=x"},
            {"Content-Type": "application/json; charset=utf-16"},
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ):
            request = _ask(world, route, token=world.holder(route), body=sent, headers=headers)
            await walk.refused(request, 415, "unsupported_media_type", what=(route, headers))


@pytest.mark.row("I4", "I6", "I7", "A5")
async def test_a_wrong_query_is_400(world, walk):
    for pattern, queries in WRONG_QUERIES.items():
        for query in [*queries, "x=%00", "limit=5&x=%00", "x=%FF", "x=%ED%A0%80"]:
            managed = next(each.managed for each in ROUTES if each.pattern == pattern)
            route = Route("GET", pattern, query=query, managed=managed)
            request = _ask(world, route, token=world.holder(route))
            await walk.refused(request, 400, "invalid", what=(pattern, query))


async def test_options_tells_of_every_route_and_takes_no_body(world):
    views = {route.pattern for route in ROUTES if route.pattern.startswith("api/")}
    for pattern in views - {"api/v1/schema"}:  # a plain view: GET and HEAD
        path = world.path(Route("OPTIONS", pattern))
        request = Request("OPTIONS", path, token=world.access)
        told = await request.read()

        assert (request.status, pattern) == (200, pattern), told


async def test_another_method_is_405_and_another_path_404(world, walk):
    for route in ROUTES:
        if not route.pattern.startswith(("api/", "v1/")):
            continue
        known = {each.method for each in ROUTES if each.pattern == route.pattern}
        other = next(each for each in ("PUT", "DELETE", "POST", "TRACE") if each not in known)
        path = world.path(route).partition("?")[0]

        wrong = Request(other, path, token=world.holder(route), body={})
        nowhere = Request(route.method, f"{path}/", token=world.holder(route), body={})

        await walk.refused(wrong, 405, "method_not_allowed", what=(other, route))
        codes = ["not_found", "model_not_found"]  # a model's name may hold slashes
        await walk.refused(nowhere, 404, *codes, what=(route, "with a slash"))


# -- frames ------------------------------------------------------------------------------------
_all = [(path, frame) for path, frames in FRAMES.items() for frame in frames]
_frames = pytest.mark.parametrize(("path", "frame"), _all, ids=str)
_owned_frames = pytest.mark.parametrize(
    ("path", "frame"), [(path, frame) for path, frame in _all if frame.owned], ids=str
)


@_frames
async def test_the_good_frame_is_answered(world, path, frame):
    async with Socket(path, token=world.access) as socket:
        socket.send({"type": frame.type, **world.fill(frame.fields), "ref": "r"})
        if frame.answer is None:
            await socket.quiet()
        else:
            told = await socket.receive()
            assert (told["type"], told["ref"]) == (frame.answer, "r")


@pytest.mark.row("A1")
@_frames
async def test_nobody_sends_a_frame(world, path, frame):
    socket = Socket(path)
    socket.send({"type": frame.type, **world.fill(frame.fields)})

    await socket.open()
    assert (await socket.receive())["code"] == "unauthenticated"
    with pytest.raises(Closed, match="4401"):
        await socket.receive()


@pytest.mark.row("A1", "A2")
@_owned_frames
async def test_another_person_finds_nothing(world, path, frame):
    async with Socket(path, token=world.stranger) as socket:
        told = await socket.ask({"type": frame.type, **world.fill(frame.fields), "ref": "r"})

        assert (told["type"], told["code"], told["ref"]) == ("error", "not_found", "r")


@pytest.mark.parametrize(
    ("path", "frame", "name"),
    [
        pytest.param(path, frame, name, id=f"{path} {frame} {name}")
        for path, frames in FRAMES.items()
        for frame in frames
        for name in frame.fields
    ],
)
async def test_one_broken_field_of_a_frame_is_invalid(world, path, frame: Frame, name):
    good = world.fill(frame.fields)
    broken: Any = 5 if isinstance(good[name], list) else []

    async with Socket(path, token=world.access) as socket:
        told = await socket.ask({"type": frame.type, **good | {name: broken}, "ref": "r"})

        assert (told["type"], told["code"], told["ref"]) == ("error", "invalid", "r")
        assert list(told["errors"]) == [name]
        await socket.quiet()
    assert await in_thread(Message.objects.count)() == 2
