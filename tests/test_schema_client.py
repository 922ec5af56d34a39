"""Each act of a person and of an administrator, done by a client that knows the schema alone.

What to send stands in `tests/walk_table.py`; where and how is read from the schema at its address.
Requests and answers are held against it, and an answer may hold nothing that it does not name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.test import Client as DjangoClient
from django.urls import get_resolver
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse
from openapi_schema_validator import OAS30Validator

from tests.asgi import Request, parse_events
from tests.chat.conftest import _no_turn_left, script
from tests.chat.serving import serving
from tests.test_walk import _methods, _routes, world
from tests.walk_table import ROUTES, Route
from tests.walk_world import World

__all__ = ["_no_turn_left", "script", "serving", "world"]

pytestmark = pytest.mark.django_db(transaction=True)

HOST = "http://testserver"
SCHEMA = "api/v1/schema"
API_ROUTES = [
    route for route in ROUTES if route.pattern.startswith("api/v1/") and route.pattern != SCHEMA
]


@dataclass(frozen=True)
class Operation:
    """What a generated client would have a method for."""

    id: str
    method: str
    path: str
    parameters: dict[str, list[str]]
    """Names by where they go: path, query, header."""
    takes_body: bool


def _operations(schema: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in schema["paths"].items():
        for method, found in methods.items():
            parameters: dict[str, list[str]] = {"path": [], "query": [], "header": []}
            for parameter in found.get("parameters", []):
                parameters[parameter["in"]].append(parameter["name"])
            parameters["path"] = re.findall(r"{(\w+)}", path)
            yield Operation(
                found["operationId"], method.upper(), path, parameters, "requestBody" in found
            )


def _key(method: str, path: str) -> str:
    """Without the names of what is in the path."""
    return f"{method.upper()} /{re.sub(r'<[^>]+>|{[^}]+}', '{}', path).lstrip('/')}"


def _closed(node: Any) -> Any:
    """The schema, in which an object has the properties that are named, and no others."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {name: _closed(each) for name, each in node.items()}
    if closed.get("nullable") and "allOf" in closed:
        # Read to the letter of 3.0 a null fits no `allOf`; generators take it as it is meant.
        return {"anyOf": [*closed["allOf"], {"nullable": True, "enum": [None]}]}
    if node.get("type") == "object" and isinstance(node.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.fixture(scope="module")
def schema() -> Any:
    return _closed(json.loads(DjangoClient().get(f"/{SCHEMA}").content))


@pytest.fixture(scope="module")
def operations(schema: Any) -> dict[str, Operation]:
    return {_key(found.method, found.path): found for found in _operations(schema)}


@pytest.fixture(scope="module")
def openapi(schema: Any) -> OpenAPI:
    return OpenAPI.from_dict(schema)


def test_every_route_of_the_api_is_in_the_schema_and_no_other(operations):
    routes = {
        _key(method, route)
        for route, view in _routes(get_resolver().url_patterns)
        for method in _methods(view)
        if route.startswith("api/v1/") and route != SCHEMA
    }

    assert routes == operations.keys()


@pytest.mark.parametrize("route", API_ROUTES, ids=str)
async def test_the_act_is_done_by_its_schema(world: World, schema, openapi, operations, route):
    operation = operations[_key(route.method, route.pattern)]
    query = dict(parse_qsl(world.fill(route.query)))
    body = world.fill(route.body)
    given = re.findall(r"<[^>]+>", route.pattern)
    places = re.findall(
        re.sub(r"<[^>]+>", "([^/]+)", f"^/{route.pattern}$"), world.path(route).partition("?")[0]
    )
    values = places[0] if len(given) > 1 else places[: len(given)]
    path = operation.path.format(**dict(zip(operation.parameters["path"], values, strict=True)))

    assert query.keys() <= set(operation.parameters["query"])
    assert body is None or operation.takes_body
    asked = MockRequest(
        HOST,
        operation.method.lower(),
        path,
        args=query,
        data=b"" if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {world.holder(route)}"},
        content_type="application/json",
    )
    if body is not None or not operation.takes_body:
        openapi.validate_request(asked)
    address = path + (f"?{world.fill(route.query)}" if route.query else "")
    request = Request(operation.method, address, token=_token(world, route), body=body)
    answer = await request.read()

    assert request.status == route.status, answer
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream":
        _check_events(schema, answer)
    else:
        answered = MockResponse(
            answer, status_code=request.status, content_type=kind or "text/plain"
        )
        try:
            openapi.validate_response(asked, answered)
        except OpenAPIError as error:
            raise AssertionError(_why(error)) from error


def _why(error: OpenAPIError) -> str:
    """Where an answer differs from the schema; the error itself only shows the whole of both."""
    found = getattr(error.__cause__, "schema_errors", [])
    deepest = [each.best_match() if hasattr(each, "best_match") else each for each in found]
    return "\n".join(f"{each.json_path}: {each.message[-300:]}" for each in deepest) or str(error)


def _token(world: World, route: Route) -> str:
    return "" if route.open else world.holder(route)


def _check_events(schema: dict[str, Any], answer: bytes) -> None:
    one = {"$ref": "#/components/schemas/StreamEvent", "components": schema["components"]}
    events = parse_events(answer.decode())
    assert events
    for event in events:
        del event["id"]
        OAS30Validator(one).validate(event)
