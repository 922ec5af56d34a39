"""Refusals in the words of OpenAI, for everything under `/v1/`: its clients know no other.

One map for views, for addresses that do not exist, and for bodies that never reach Django.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext as _

from common import errors

PATH = "/v1/"
CONTENT_TYPE = "application/json"

_INVALID = "invalid_request_error"
_UPSTREAM = "upstream_error"
# What a provider, or we, could not do, whichever of the two it was and whatever it is elsewhere.
_AWAY = {
    HTTPStatus.BAD_GATEWAY: HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: HTTPStatus.BAD_GATEWAY,
}
# Codes of ours with the type and the code that OpenAI's clients look for.
_NAMES: dict[str, tuple[str, str | None]] = {
    "invalid": (_INVALID, None),
    "unauthenticated": (_INVALID, "invalid_api_key"),
    "token_invalid": (_INVALID, "invalid_api_key"),
    "rate_limited": ("rate_limit_exceeded", "rate_limit_exceeded"),
    "quota_exceeded": ("insufficient_quota", "insufficient_quota"),
    "internal": ("server_error", "internal"),
    "prompt_too_long": (_INVALID, "context_length_exceeded"),
}
# Those that tell of one field, and never of another.
_FIELDS = {"model_not_allowed": "model", "prompt_too_long": "messages"}
# Asked for again at once these would be refused again, or tried once more where they were tried
# often enough: the clients do as this header says.
_NOT_RETRIED = {"quota_exceeded", "upstream_error", "upstream_timeout"}


def is_spoken_at(path: str) -> bool:
    return path.startswith(PATH)


def status_of(error: errors.AppError) -> int:
    return int(_AWAY.get(HTTPStatus(error.status), error.status))


def body_of(error: errors.AppError) -> dict[str, Any]:
    """The whole body of a refusal, or the data of a frame that ends a stream."""
    kind, code = _name(error)
    return {
        "error": {
            "message": _message(error),
            "type": kind,
            "param": _field(error),
            "code": code,
        }
    }


def headers_of(error: errors.AppError) -> dict[str, str]:
    """Headers this failure brings along, with what keeps a client from asking again in vain."""
    if error.code in _NOT_RETRIED or error.status == HTTPStatus.CONFLICT:
        return error.headers() | {"x-should-retry": "false"}
    return error.headers()


def _name(error: errors.AppError) -> tuple[str, str | None]:
    if error.code in _NAMES:
        return _NAMES[error.code]
    if error.status in _AWAY:
        return _UPSTREAM, _UPSTREAM
    if error.code == errors.NotFound.code and "model" in (error.errors or {}):
        return _INVALID, "model_not_found"
    return _INVALID, error.code


def _field(error: errors.AppError) -> str | None:
    if error.code in _FIELDS:
        return _FIELDS[error.code]
    first = next(iter(error.errors or {}), None)
    return None if first == "non_field_errors" else first


def _message(error: errors.AppError) -> str:
    """The sentence, with the name of the field it is about and the time that ends it."""
    text = str(error)
    if error.code == errors.Invalid.code and (field := _field(error)):
        text = f"{field}: {text}"
    limit = error.extra.get("limit")
    resets_at = limit.get("resets_at") if isinstance(limit, dict) else None
    if resets_at is None:
        return text
    return _("%(sentence)s The limit resets at %(time)s.") % {"sentence": text, "time": resets_at}
