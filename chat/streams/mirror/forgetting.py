"""Takes back what Redis still holds of turns that are over, and nobody's any more."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from chat.streams.mirror.keys import turn_key

logger = structlog.get_logger(__name__)


def forget_logs(turn_ids: list[UUID]) -> None:
    """Their streams go at once; where Redis is away, they go by their age."""
    if not (settings.REDIS_URL and turn_ids):
        return
    try:
        with Redis.from_url(
            settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2
        ) as redis:
            redis.unlink(*map(turn_key, turn_ids))
    except (RedisError, OSError):
        logger.warning(
            "Redis is away as a person is erased: what it holds of their answers goes by its age."
            " See to the Redis of REDIS_URL, or empty it.",
            turns=len(turn_ids),
            seconds=settings.TURN_LOG_REDIS_SECONDS,
        )
