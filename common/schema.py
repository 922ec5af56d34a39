"""The OpenAPI schema of every view: what drf-spectacular finds, plus our problems and streams."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiResponse

from common.problems import CONTENT_TYPE
from common.sse import MEDIA_TYPE

Operation = dict[str, Any]

# What 204 says of itself.
DONE = OpenApiResponse(description="Done.")

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}
# Of a limit: a whole number, or money as a decimal string.
AMOUNT = {"oneOf": [_NUMBER, {**_TEXT, "format": "decimal"}]}

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is a word for programs, `detail` a sentence for people.",
    "properties": {
        "type": {**_TEXT, "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "request_id": _TEXT,
        "errors": {
            "type": "object",
            "description": "The invalid fields, each with what is wrong about it.",
            "additionalProperties": {"type": "array", "items": _TEXT},
        },
        "limit": {
            "type": "object",
            "description": "The limit that had no room.",
            "properties": {
                "subject": _TEXT,
                "metric": _TEXT,
                "period": _TEXT,
                "limit": AMOUNT,
                "used": AMOUNT,
                "resets_at": {**_TEXT, "format": "date-time", "nullable": True},
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}

# status -> what it says; which of them an operation has follows from its shape.
_REFUSALS = {
    "400": "Not valid.",
    "401": "Nobody is signed in, or the token is not valid.",
    "403": "Not allowed.",
    "404": "There is nothing here for the caller.",
    "409": "It does not go together with the present state.",
    "413": "The body is too large.",
    "415": "The body is not JSON in UTF-8.",
    "429": "Too many requests, or a quota is used up; `Retry-After` says when.",
    "500": "A bug of ours; `request_id` finds it.",
    "503": "Something that Parley needs is away; `Retry-After` says when.",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
}


_STREAM = {
    "description": "The `data:` of one Server-Sent Event; `event:` is its `type`, "
    "`id:` is `<message id>:<seq>`.",
}


class AutoSchema(SpectacularSchema):
    """Adds to each operation the problems it may answer, and describes its event stream.

    A view that answers with one says in `stream_events` what it consists of: schemas by their
    component's name.
    """

    def get_operation(self, *args: Any, **kwargs: Any) -> Operation | None:
        operation: Operation | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        self._add_problems(operation)
        self._add_events(operation)
        return operation

    def _get_request_body(self, direction: str = "request") -> Any:
        """Also of a DELETE that takes one: an account is deleted with its password."""
        method = self.method
        view: Any = self.view
        if method == "DELETE" and view.takes_body(view.request):
            self.method = "POST"
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method

    def _add_problems(self, operation: Operation) -> None:
        problem = self._component("Problem", _PROBLEM)
        own = getattr(self.view, "refuses_with", ())  # what its shape does not tell
        for status in sorted({*_refusals_of(operation), *own}):
            response = {
                "description": _REFUSALS[status],
                "content": {CONTENT_TYPE: {"schema": problem}},
            }
            if status in {"429", "503"}:
                response["headers"] = _RETRY_AFTER
            operation["responses"].setdefault(status, response)

    def _add_events(self, operation: Operation) -> None:
        for response in operation["responses"].values():
            if MEDIA_TYPE in response.get("content", {}):
                own = getattr(self.view, "stream_events", {})
                events = [self._component(name, schema) for name, schema in own.items()]
                kinds = {
                    schema["properties"]["type"]["enum"][0]: name for name, schema in own.items()
                }
                by_type = {
                    "propertyName": "type",
                    "mapping": {
                        kind: f"#/components/schemas/{name}" for kind, name in kinds.items()
                    },
                }
                stream = self._component(
                    "StreamEvent", _STREAM | {"oneOf": events, "discriminator": by_type}
                )
                response["content"][MEDIA_TYPE] = {"schema": stream}

    def _component(self, name: str, schema: dict[str, Any]) -> Any:
        component: Any = ResolvedComponent(  # type: ignore[no-untyped-call]
            name=name, type=ResolvedComponent.SCHEMA, object=name, schema=deepcopy(schema)
        )
        self.registry.register_on_missing(component)
        return component.ref


def _refusals_of(operation: Operation) -> list[str]:
    found = ["429", "500", "503"]
    if operation.get("parameters") or "requestBody" in operation:
        found.append("400")
    if {} not in operation.get("security", [{}]):
        found += ["401", "403"]
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", [])):
        found.append("404")
    if "requestBody" in operation:
        found += ["409", "413", "415"]
    return sorted(found)
