"""Refusals in OpenAI's words: status, type, code, and whether a client should ask again."""

from __future__ import annotations

import json

import pytest
from django.test import RequestFactory

from accounts.errors import TokenInvalid
from chat.errors import ContextLengthExceeded, IdempotencyConflict
from common import errors
from common.problems import problem_response
from models_registry.errors import (
    ModelNotAllowed,
    ModelUnavailable,
    ParameterRefused,
    PromptTooLong,
    ProviderFailed,
    ProviderTimeout,
)
from quotas.errors import QuotaExceeded

INVALID = "invalid_request_error"
UPSTREAM = "upstream_error"
LIMIT = {"subject": "user", "resets_at": "2030-01-01T00:00:00Z"}
CASES = [
    # error, status, type, code, retried
    (errors.Invalid("no"), 400, INVALID, None, True),
    (ContextLengthExceeded("no"), 400, INVALID, "context_length_exceeded", True),
    (ParameterRefused("no"), 400, INVALID, "parameter_refused", True),
    (PromptTooLong(), 400, INVALID, "context_length_exceeded", True),
    (errors.Unauthenticated(), 401, INVALID, "invalid_api_key", True),
    (TokenInvalid(), 401, INVALID, "invalid_api_key", True),
    (ModelNotAllowed(), 403, INVALID, "model_not_allowed", True),
    (errors.PermissionDenied(), 403, INVALID, "permission_denied", True),
    (errors.NotFound(errors={"model": ["no"]}), 404, INVALID, "model_not_found", True),
    (errors.NotFound(), 404, INVALID, "not_found", True),
    (errors.Conflict(), 409, INVALID, "conflict", False),
    (IdempotencyConflict(), 409, INVALID, "idempotency_conflict", False),
    (errors.RateLimited(retry_after=3), 429, "rate_limit_exceeded", "rate_limit_exceeded", True),
    (
        QuotaExceeded(retry_after=3, limit=LIMIT),
        429,
        "insufficient_quota",
        "insufficient_quota",
        False,
    ),
    (errors.Internal(), 500, "server_error", "internal", True),
    (ProviderFailed(), 502, UPSTREAM, UPSTREAM, False),
    (ProviderTimeout(), 502, UPSTREAM, UPSTREAM, False),
    (ModelUnavailable(), 503, UPSTREAM, UPSTREAM, True),
    (errors.Unavailable(), 503, UPSTREAM, UPSTREAM, True),
]


def answered(error, path="/v1/models"):
    return problem_response(error, RequestFactory().get(path))


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "retried"), CASES, ids=lambda each: type(each).__name__
)
def test_each_refusal_has_its_place(error, status, kind, code, retried):
    answer = answered(error)
    told = json.loads(answer.content)["error"]

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    assert told.keys() == {"message", "type", "param", "code"}
    assert (told["type"], told["code"]) == (kind, code)
    assert answer.get("x-should-retry") == (None if retried else "false")
    assert ("Retry-After" in answer) == (status == 429)


def test_the_field_is_named_in_param_and_in_the_sentence():
    told = json.loads(answered(errors.Invalid.field("n", "Only 1 is possible.")).content)["error"]

    assert (told["param"], told["message"]) == ("n", "n: Only 1 is possible.")


def test_a_quota_says_when_it_resets():
    told = json.loads(answered(QuotaExceeded(retry_after=3, limit=LIMIT)).content)["error"]

    assert "2030-01-01T00:00:00Z" in told["message"]


def test_everywhere_else_a_refusal_is_a_problem():
    answer = answered(ProviderTimeout(), path="/api/v1/chat")

    assert answer.status_code == 504
    assert answer["Content-Type"] == "application/problem+json"
    assert "x-should-retry" not in answer
