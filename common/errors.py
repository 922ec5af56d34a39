"""Every expected failure of Parley, as one hierarchy with codes that never change.

`code` is the machine word of API.md, `status` the HTTP status, `title` the sentence people read.
Each app derives its own in `<app>/errors.py`; whatever is not an `AppError` is a bug.
"""

from __future__ import annotations

import math
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


def reason_of(error: Exception) -> str:
    """What a library's error says, for use within a sentence: its first line, without a stop."""
    return (str(error).strip() or gettext("no answer")).splitlines()[0].rstrip(".")


class AppError(Exception):
    """An expected failure, ready to be told to whoever caused it.

    `detail` says what is particular to this occurrence, `errors` names the invalid fields,
    `retry_after` is in seconds, `extra` joins the problem document as further members.
    """

    code = "internal"
    status = 500
    title: Any = _("Something went wrong on our side.")

    def __init__(
        self,
        detail: Any = "",
        *,
        errors: dict[str, list[Any]] | None = None,
        retry_after: float | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after
        self.extra = extra

    def __str__(self) -> str:
        return str(self.detail or self.title)

    def as_problem(self) -> dict[str, Any]:
        """The members of an RFC 9457 problem document (`request_id` is added at the edge)."""
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": str(self.title),
            "status": self.status,
            "detail": str(self),
            "code": self.code,
        }
        if self.errors:
            problem["errors"] = {
                field: [str(text) for text in texts] for field, texts in self.errors.items()
            }
        return problem | self.extra

    def headers(self) -> dict[str, str]:
        """HTTP headers this failure brings along."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


class Invalid(AppError):
    code = "invalid"
    status = 400
    title = _("The request is not valid.")

    @classmethod
    def field(cls, name: str, text: Any) -> Invalid:
        """The error of one field."""
        return cls(text, errors={name: [text]})


class Unauthenticated(AppError):
    code = "unauthenticated"
    status = 401
    title = _("Sign in first.")


class PermissionDenied(AppError):
    code = "permission_denied"
    status = 403
    title = _("You may not do this.")


class NotFound(AppError):
    code = "not_found"
    status = 404
    title = _("There is nothing here.")


class MethodNotAllowed(AppError):
    code = "method_not_allowed"
    status = 405
    title = _("This address does not take that method.")


class Conflict(AppError):
    code = "conflict"
    status = 409
    title = _("This does not go together with the present state.")


class PayloadTooLarge(AppError):
    code = "payload_too_large"
    status = 413
    title = _("The request is too large.")


class UnsupportedMediaType(AppError):
    code = "unsupported_media_type"
    status = 415
    title = _("Send JSON in UTF-8 (application/json).")


class RateLimited(AppError):
    code = "rate_limited"
    status = 429
    title = _("Too many requests. Wait a moment.")


class Internal(AppError):
    """A bug, told to the caller without any of its particulars."""


class Unavailable(AppError):
    code = "unavailable"
    status = 503
    title = _("Parley cannot do this right now. Try again in a moment.")
