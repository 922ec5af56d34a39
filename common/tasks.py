"""Jobs that belong to no app."""

from __future__ import annotations

import time

import structlog
from celery import shared_task
from django.core.cache import cache

from common import purging
from common.health import JOBS_SEEN, JOBS_SILENT_SECONDS

logger = structlog.get_logger(__name__)


@shared_task
def heartbeat() -> None:
    """Shows /health of every process that jobs run somewhere."""
    cache.set(JOBS_SEEN, time.time(), JOBS_SILENT_SECONDS * 2)


@shared_task
def purge() -> None:
    """Drop whatever of any app has run out."""
    for each in purging.purge():
        if each.rows:
            logger.info("purged", what=each.what, rows=each.rows)
