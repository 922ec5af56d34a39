"""Exceptions of any kind as one kind of problem document."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions as drf

from common.problems import as_problem


@pytest.mark.parametrize(
    ("detail", "fields"),
    [
        ({"name": ["Too long."]}, {"name": ["Too long."]}),
        ({"access": {"users": ["No."]}}, {"access.users": ["No."]}),
        ({"messages": {"non_field_errors": ["Empty."]}}, {"messages": ["Empty."]}),
        ({"messages": [{}, {"role": ["No."]}]}, {"messages.1.role": ["No."]}),
        (["Not so."], {"non_field_errors": ["Not so."]}),
    ],
)
def test_invalid_fields_become_one_flat_table(detail, fields):
    problem = as_problem(drf.ValidationError(detail))

    assert problem is not None
    assert (problem["status"], problem["code"]) == (400, "invalid")
    assert problem["errors"] == fields


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (Http404(), 404, "not_found"),
        (ValidationError({"name": "Taken."}), 400, "invalid"),
        (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (OperationalError("the server closed the connection"), 503, "unavailable"),
    ],
)
def test_what_others_raise_has_a_code_of_ours(exc, status, code):
    problem = as_problem(exc)

    assert problem is not None
    assert (problem["status"], problem["code"]) == (status, code)
    assert "server closed" not in str(problem)


def test_a_bug_is_no_problem_document():
    assert as_problem(KeyError("secret")) is None
