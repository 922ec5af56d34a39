"""What chat refuses."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from common.errors import AppError, Invalid, Unavailable


class IdempotencyConflict(AppError):
    code = "idempotency_conflict"
    status = 409
    title = _("This Idempotency-Key belongs to another request.")


class ContextLengthExceeded(Invalid):
    """The prompt, with the answer that was asked for, is longer than the model's window."""

    code = "context_length_exceeded"
    title = _("This is longer than the model can read.")


class TurnCutOff(Unavailable):
    """What an answer was interrupted by: the process that wrote it was stopped, or died."""

    title = _("The answer was cut off because the server was stopped or restarted.")
