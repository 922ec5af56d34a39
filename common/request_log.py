"""One line for each request that was answered, by Django or by what comes before it."""

from __future__ import annotations

import re
import time
from http import HTTPStatus

import structlog

logger = structlog.get_logger("parley.request")

# A path below these is a secret by itself.
_SECRET_PATHS = re.compile(r"(/share/)[^/]+")
# Orchestrators ask these all day long; at the level DEBUG they are logged too.
_POLLED = ("/health", "/metrics")
_PATH_CHARACTERS = 200


def answered(
    method: str, path: str, status: int, *, began: float, address: str, request_id: str
) -> None:
    """Log one answer. `began` is a `time.perf_counter()`; `path` comes without its query (G1)."""
    path = _SECRET_PATHS.sub(r"\1…", path)[:_PATH_CHARACTERS]
    fields = {
        "method": method,
        "path": path,
        "status": int(status),
        "ms": round((time.perf_counter() - began) * 1000, 1),
        "address": address,
        "request_id": request_id,
    }
    if path.startswith(_POLLED):
        logger.debug("request", **fields)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request", **fields)
    else:
        logger.info("request", **fields)
