"""What metering refuses."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from common.errors import AppError


class QuotaExceeded(AppError):
    """A limit has no room. `extra["limit"]` says which: `subject` (its kind), `metric`, `period`,
    `limit`, `used` and `resets_at`; `retry_after` is the time until then."""

    code = "quota_exceeded"
    status = 429
    title = _("What you may use for now is used up.")
