"""What chat refuses."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from common.errors import AppError


class IdempotencyConflict(AppError):
    code = "idempotency_conflict"
    status = 409
    title = _("This Idempotency-Key belongs to another request.")
