"""What a test needs that is not everywhere, and where it is played all the same."""

from __future__ import annotations

import shutil

import pytest
from django.conf import settings

redis = pytest.mark.skipif(
    not settings.REDIS_URL,
    reason="without Redis there is one process: played in the run on PostgreSQL and Redis",
)
redis_server = pytest.mark.skipif(
    not shutil.which("redis-server"),
    reason="stops a Redis of its own: played where redis-server is installed, as .ci/run does",
)
