"""One line for each request that was answered, by Django or by what comes before it.

A WebSocket has two: as it opens, and as it ends.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus

import structlog

logger = structlog.get_logger("parley.request")

# A path below the first is a secret by itself; the second is an API key in the wrong place (K4).
_SECRETS = re.compile(r"(?<=/share/)[^/]+|(?<=parley-)[0-9A-Za-z]{6,}")
# Orchestrators ask these all day long; at the level DEBUG they are logged too.
_POLLED = ("/health", "/metrics")
_PATH_CHARACTERS = 200


def answered(
    method: str, path: str, status: int, *, began: float, address: str, request_id: str
) -> None:
    """Log one answer. `began` is a `time.perf_counter()`; `path` comes without its query (G1)."""
    path = _SECRETS.sub("…", path)[:_PATH_CHARACTERS]
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


def opened(path: str, *, user_id: object, address: str, request_id: str) -> None:
    """Log a handshake that was accepted. `user_id` None is who may only hear why not."""
    logger.info(
        "socket_opened",
        path=path[:_PATH_CHARACTERS],
        status=int(HTTPStatus.SWITCHING_PROTOCOLS),
        user_id=user_id and str(user_id),
        address=address,
        request_id=request_id,
    )


def closed(path: str, code: int, *, seconds: float, user_id: object, request_id: str) -> None:
    """Log the end of what was `opened`, and how long it was."""
    logger.info(
        "socket_closed",
        path=path[:_PATH_CHARACTERS],
        code=code,
        seconds=round(seconds, 1),
        user_id=user_id and str(user_id),
        request_id=request_id,
    )
