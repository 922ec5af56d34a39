"""Requests made up from the schema, by every kind of caller, to a real server.

Whatever is asked, nothing breaks (no 5xx, no ERROR in the log), and every answer has a status and
a body that the schema names. To look longer than the suite does:

    MADE_UP_REQUESTS=200 MADE_UP_SEED=7 pytest tests/faults/test_made_up_requests.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.faults.callers import ROOMY, SCOPES, Callers, gather
from tests.faults.conftest import one_server
from tests.models_registry.upstream import answer
from tests.server import Server

EXAMPLES = int(os.environ.get("MADE_UP_REQUESTS", "2"))
SEED = int(os.environ.get("MADE_UP_SEED", "6"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Who owns what is asked for comes after those who must not reach it.
KINDS = ("nobody", "another", *(f"key: {scope}" for scope in SCOPES), "owner", "administrator")
# What is asked with something that exists, where it stands in a path or a body.
KNOWN = {"connection": "connection_id", "parent_id": "message_id", "branch": "message_id"}
# Would end the sign-ins that everything else here needs.
LEFT_ALONE = {"/api/v1/users/me/sessions/{session_id}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Any) -> Iterator[Server]:
    upstream.script(answer("Hel", "lo"))
    with one_server(tmp_path_factory.mktemp("made-up"), upstream, **ROOMY) as started:
        yield started


@pytest.fixture(scope="module")
def callers(server: Server) -> Callers:
    return gather(server)


@pytest.fixture(scope="module")
def operations(server: Server) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{server.url}/api/v1/schema")
    found = [each.ok() for each in schema.get_all_operations()]
    assert len(found) > 70
    # What an administrator limits or turns off comes last, else the rest would be refused.
    found.sort(key=lambda each: any(word in each.path for word in ("plans", "settings")))
    return [each for each in found if each.path not in LEFT_ALONE]


def test_no_request_breaks_the_server_or_is_answered_outside_the_schema(
    server: Server, callers: Callers, operations: list[Any]
) -> None:
    wrong: list[str] = []
    with ExitStack() as stack:
        sessions = {}
        for kind in KINDS:
            sessions[kind] = stack.enter_context(requests.Session())
            sessions[kind].trust_env = False
            if token := callers.tokens[kind]:
                sessions[kind].headers["Authorization"] = f"Bearer {token}"
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                wrong += _tried(operation, mode, callers, sessions, server.url)
            if operation.method == "delete":
                callers.renew()

    assert not wrong, "\n\n".join(wrong)
    assert "[error" not in server.log
    assert "Traceback" not in server.log


def _tried(
    operation: Any,
    mode: GenerationMode,
    callers: Callers,
    sessions: dict[str, requests.Session],
    url: str,
) -> list[str]:
    """What went wrong in so many examples, each asked by everyone."""
    found: list[str] = []

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(case=operation.as_strategy(generation_mode=mode), exists=st.integers(0, 3))
    def one(case: Any, exists: int) -> None:
        if exists:  # three of four name something that is there
            _name_what_exists(case, callers)
        for kind, session in sessions.items():
            answered = case.call(base_url=url, session=session, timeout=30)
            try:
                case.validate_response(answered, checks=_checks_of(answered))
            except FailureGroup as failures:
                found.append(f"{kind} {operation.label}: {failures.exceptions}")

    with suppress(Unsatisfiable):  # there is nothing to get wrong in it
        one()
    return found[:3]


def _checks_of(answered: Any) -> list[Any]:
    """The events of a stream are held against the schema in tests/test_schema_client.py."""
    is_stream = "event-stream" in answered.headers["content-type"][0]
    return [each for each in CHECKS if not (is_stream and each is response_schema_conformance)]


def _name_what_exists(case: Any, callers: Callers) -> None:
    kind = "model_id" if "/models/" in case.path else "connection_id"
    for name in case.path_parameters or {}:
        known = callers.ids.get(kind if name in {"id", "pk"} else name)
        if known is not None:
            case.path_parameters[name] = known
    for part in (case.body, case.query):
        if isinstance(part, dict):
            part.update({name: callers.ids[KNOWN[name]] for name in part.keys() & KNOWN.keys()})
            if "model" in part:
                part["model"] = "mock"
