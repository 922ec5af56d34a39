"""Answers that Django asks for by name: its own refusals, as problems like all others."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from common import errors
from common.problems import problem_response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return problem_response(
        errors.PermissionDenied(
            _("The form has expired, or another site sent it. Load the page again.")
        ),
        request,
    )


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return problem_response(errors.Invalid(), request)


def permission_denied(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return problem_response(errors.PermissionDenied(), request)


def page_not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return problem_response(errors.NotFound(), request)


def server_error(request: HttpRequest) -> HttpResponse:
    return problem_response(errors.Internal(), request)
