"""Jobs that belong to no app."""

from __future__ import annotations

import time

from celery import shared_task
from django.core.cache import cache

from common.health import JOBS_SEEN, JOBS_SILENT_SECONDS


@shared_task
def heartbeat() -> None:
    """Shows /health of every process that jobs run somewhere."""
    cache.set(JOBS_SEEN, time.time(), JOBS_SILENT_SECONDS * 2)
