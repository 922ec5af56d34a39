"""The one map from exceptions to problem documents (RFC 9457), for REST, SSE and WebSocket."""

from __future__ import annotations

from typing import Any

import orjson
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import (
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout
from rest_framework import exceptions as drf
from rest_framework.fields import get_error_detail

from common import errors

CONTENT_TYPE = "application/problem+json"

_BY_STATUS: dict[int, type[errors.AppError]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    406: errors.Invalid,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.RateLimited,
}


def as_app_error(exc: BaseException) -> errors.AppError | None:
    """`exc` as one of ours, or None when it is a bug."""
    match exc:
        case errors.AppError():
            return exc
        case Http404():
            return errors.NotFound()
        case DjangoPermissionDenied():
            return errors.PermissionDenied()
        case RequestDataTooBig():
            return errors.PayloadTooLarge()
        case TooManyFieldsSent() | SuspiciousOperation():
            return errors.Invalid()
        case DjangoValidationError():
            return _from_fields(get_error_detail(exc))
        case drf.ValidationError():
            return _from_fields(exc.detail)
        case drf.Throttled():
            return errors.RateLimited(retry_after=exc.wait)
        case drf.APIException():
            kind = _BY_STATUS.get(exc.status_code)
            return kind(str(exc.detail)) if kind else None
        case PoolTimeout() | OperationalError() | InterfaceError():
            return errors.Unavailable(retry_after=2)
        case DatabaseError() if _connection_lost(exc):
            return errors.Unavailable(retry_after=2)
    return None


def _connection_lost(exc: DatabaseError) -> bool:
    cause = exc.__cause__
    return getattr(cause, "sqlstate", None) in {"57P01", "57P02", "57P03", "25006"}


def _from_fields(detail: Any) -> errors.Invalid:
    """DRF's nested details as one flat table: `{"access.users": ["…"]}`."""
    fields: dict[str, list[Any]] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}" if path else str(key))
        elif isinstance(node, list):
            for number, value in enumerate(node):
                if isinstance(value, dict | list):
                    if value:
                        walk(value, f"{path}.{number}" if path else str(number))
                else:
                    fields.setdefault(path or "non_field_errors", []).append(value)
        else:
            fields.setdefault(path or "non_field_errors", []).append(node)

    walk(detail, "")
    first = next(iter(fields.values()), [""])[0]
    return errors.Invalid(first, errors=fields)


def as_problem(exc: BaseException, *, request_id: str = "") -> dict[str, Any] | None:
    """The problem document for `exc`, or None when it is a bug."""
    error = as_app_error(exc)
    if error is None:
        return None
    problem = error.as_problem()
    problem["request_id"] = request_id
    return problem


def problem_response(exc: BaseException, request: HttpRequest | None = None) -> HttpResponse:
    """`exc` as an `application/problem+json` answer; a bug becomes a bare `internal`."""
    error = as_app_error(exc) or errors.Internal()
    problem = error.as_problem()
    problem["request_id"] = getattr(request, "request_id", "")
    response = HttpResponse(
        orjson.dumps(problem, default=str), status=error.status, content_type=CONTENT_TYPE
    )
    for name, value in error.headers().items():
        response[name] = value
    if error.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
