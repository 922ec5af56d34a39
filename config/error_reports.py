"""Error reports to Sentry, for those who set SENTRY_DSN: where a bug is, never whom it met (G1)."""

from __future__ import annotations

from typing import Any

import sentry_sdk
from django.conf import settings

# What of an event names code; everything else may hold somebody's words or secrets.
_KEPT = ("event_id", "timestamp", "level", "logger", "platform", "release", "environment", "sdk")
_KEPT_OF_FRAME = ("filename", "abs_path", "function", "module", "lineno", "in_app")


def start() -> None:
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        release=settings.VERSION,
        environment="production" if settings.PRODUCTION else "development",
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        # Else every request to a vendor, or to an address of a user's, names our key (K9).
        trace_propagation_targets=[],
        before_send=without_particulars,
    )


def without_particulars(event: Any, _hint: Any) -> Any:
    """The event with types, places and our request id alone."""
    kept = {name: event[name] for name in _KEPT if name in event}
    kept["exception"] = {
        "values": [_bare(found) for found in event.get("exception", {}).get("values", [])]
    }
    if not kept["exception"]["values"]:
        template = event.get("logentry", {}).get("message", "")
        kept["logentry"] = {"message": template, "params": []}
    return kept


def _bare(exception: Any) -> dict[str, Any]:
    """Messages go too: a database's names the row, a provider's may echo a key."""
    frames = (exception.get("stacktrace") or {}).get("frames", [])
    return {
        "type": exception.get("type"),
        "module": exception.get("module"),
        "stacktrace": {
            "frames": [
                {name: frame[name] for name in _KEPT_OF_FRAME if name in frame} for frame in frames
            ]
        },
    }
