"""The OpenAPI schema: complete enough for a generated client."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(Client().get("/api/v1/schema").content)


def operations(schema: Any) -> list[tuple[str, Any]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_generator_has_nothing_to_complain_of():
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=StringIO())


def test_every_refusal_is_described_as_a_problem(schema):
    problem = {"$ref": "#/components/schemas/Problem"}
    for name, operation in operations(schema):
        assert {"429", "500", "503"} <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            if status >= "400":
                (kind,) = response["content"]
                assert kind == "application/problem+json", (name, status)
                assert response["content"][kind]["schema"] == problem, (name, status)


def test_streams_are_described(schema):
    streams = [
        name
        for name, operation in operations(schema)
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    ]

    assert "post /api/v1/conversations/{conversation_id}/messages/stream" in streams
    assert "post /api/v1/chat" in streams
    events = {part["$ref"] for part in schema["components"]["schemas"]["StreamEvent"]["oneOf"]}
    assert len(events) == 5


def test_what_a_tool_call_that_nobody_ran_does_not_have_is_null(schema):
    fields = schema["components"]["schemas"]["ToolCall"]["properties"]

    assert fields["result"]["nullable"]
    assert fields["seconds"]["nullable"]
    assert "nullable" not in fields["arguments"]


def test_every_reference_leads_somewhere(schema):
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        if isinstance(node, list):
            return [found for value in node for found in references(value)]
        return []

    known = set(schema["components"]["schemas"])
    assert {name.rpartition("/")[2] for name in references(schema)} <= known


def test_operations_have_names_of_their_own(schema):
    names = [operation["operationId"] for _name, operation in operations(schema)]

    assert len(names) == len(set(names))
