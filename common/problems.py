"""The one map from exceptions to problem documents (RFC 9457), for REST, SSE and WebSocket.

Under `/v1/` a refusal has OpenAI's shape instead (`common.openai_errors`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import (
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout
from rest_framework import exceptions as drf
from rest_framework.fields import get_error_detail
from rest_framework.settings import api_settings

from common import errors, openai_errors, security_headers
from common.text import bounded

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

_OURS: dict[type[Exception], type[errors.AppError]] = {
    Http404: errors.NotFound,
    DjangoPermissionDenied: errors.PermissionDenied,
    RequestDataTooBig: errors.PayloadTooLarge,
    SuspiciousOperation: errors.Invalid,
}
_DATABASE_AWAY = (PoolTimeout, OperationalError, InterfaceError)


def as_app_error(exc: BaseException) -> errors.AppError | None:
    """`exc` as one of ours, or None when it is a bug."""
    if isinstance(exc, errors.AppError):
        return exc
    if isinstance(exc, DjangoValidationError):
        exc = drf.ValidationError(get_error_detail(exc))
    if isinstance(exc, drf.ValidationError):
        return _from_fields(exc.detail)
    if isinstance(exc, drf.APIException):
        kind = _BY_STATUS.get(exc.status_code)
        return kind(bounded(exc.detail)) if kind else None
    if isinstance(exc, _DATABASE_AWAY) or _connection_lost(exc):
        return errors.Unavailable(retry_after=2)
    for theirs, ours in _OURS.items():
        if isinstance(exc, theirs):
            return ours()
    return None


def _connection_lost(exc: BaseException) -> bool:
    """PostgreSQL's "going away" states that arrive as another DatabaseError."""
    if not isinstance(exc, DatabaseError):
        return False
    return getattr(exc.__cause__, "sqlstate", None) in {"57P01", "57P02", "57P03", "25006"}


def _from_fields(detail: Any) -> errors.Invalid:
    """DRF's nested details as one flat table: `{"access.users": ["…"]}`."""
    fields: dict[str, list[Any]] = {}

    whole = api_settings.NON_FIELD_ERRORS_KEY

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                below = f"{path}.{key}" if path else str(key)
                walk(value, path if path and key == whole else below)
        elif isinstance(node, list):
            for number, value in enumerate(node):
                if isinstance(value, dict | list):
                    if value:
                        walk(value, f"{path}.{number}" if path else str(number))
                else:
                    fields.setdefault(path or whole, []).append(bounded(value))
        else:
            fields.setdefault(path or whole, []).append(bounded(node))

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


def bare_answer(
    refusal: errors.AppError, *, request_id: str, path: str = "", **more: str
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of a refusal that is written past Django, before it or instead of it."""
    kind, body, own = _written(refusal, path=path, request_id=request_id)
    headers = {
        **security_headers.everywhere(),
        "Content-Security-Policy": security_headers.DATA,
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Vary": ", ".join(security_headers.VARY),
        "X-Request-ID": request_id,
        **own,
        **more,
    }
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()], body


def problem_response(exc: BaseException, request: HttpRequest | None = None) -> HttpResponse:
    """`exc` as an `application/problem+json` answer; a bug becomes a bare `internal`.

    For a request to `/v1/` it is the answer that OpenAI's clients understand.
    """
    error = as_app_error(exc) or errors.Internal()
    path = request.path_info if request is not None else ""
    kind, body, headers = _written(error, path=path, request_id=getattr(request, "request_id", ""))
    status = openai_errors.status_of(error) if openai_errors.is_spoken_at(path) else error.status
    response = HttpResponse(body, status=status, content_type=kind)
    for name, value in headers.items():
        response[name] = value
    if error.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _written(
    error: errors.AppError, *, path: str, request_id: str
) -> tuple[str, bytes, dict[str, str]]:
    """Content type, body and headers of a refusal, in the shape that is spoken at `path`."""
    if openai_errors.is_spoken_at(path):
        body = openai_errors.body_of(error)
        return openai_errors.CONTENT_TYPE, orjson.dumps(body), openai_errors.headers_of(error)
    problem = error.as_problem() | {"request_id": request_id}
    return CONTENT_TYPE, orjson.dumps(problem, default=str), error.headers()
