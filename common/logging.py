"""One line per event (G2), readable or JSON, with the request's id and without anyone's content."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from common.text import without_secrets

_QUIET = (
    "anthropic",
    "asyncio",
    "constance",
    "daphne",
    "dashscope",
    "django.channels.server",
    "django.server",
    "httpcore",
    "httpx",
    "httpx2",
    "kombu",
    "openai",
)
_OUTAGE_SECONDS = 60
_AWAY = (RedisError, OSError, OperationalError)


def configure(options: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG; `options` are `level` and `format` (console or json)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *_renderers(options["format"]),
                        _without_secrets,
                    ],
                }
            },
            "filters": {"bugs": {"()": OnlyBugs}, "outages": {"()": OneLineAnOutage}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": options["level"]},
            "loggers": {
                **{name: {"level": "WARNING"} for name in _QUIET},
                "django.request": {"level": "ERROR", "filters": ["bugs"]},
                "uvicorn.access": {"level": "CRITICAL"},
                "uvicorn.error": {"level": "WARNING"},
                "celery": {"level": "WARNING"},
                "channels_redis.pubsub": {"filters": ["outages"]},
                "celery.worker.consumer.consumer": {"filters": ["outages"]},
            },
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class OnlyBugs(logging.Filter):
    """Of what Django says about requests keeps exceptions; the rest our own line says too."""

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.exc_info)


class OneLineAnOutage(logging.Filter):
    """While Redis is away channels_redis writes a traceback a second, and Celery a line every two
    seconds; a line a minute says it."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.args if isinstance(record.args, tuple) else ()
        raised = record.exc_info[1] if record.exc_info else None
        errors = [each for each in (raised, *told) if isinstance(each, _AWAY)]
        if not errors:
            return True
        if record.created - self._told_at < _OUTAGE_SECONDS:
            return False
        self._told_at = record.created
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg = "Redis is away (%s). See to the Redis of REDIS_URL."
        record.args = (type(errors[0]).__name__,)
        record.exc_info = None
        return True


def _renderers(form: str) -> list[Any]:
    """Tracebacks name files and lines, never the values of variables (G1)."""
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        _one_line,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _one_line(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Line ends in text that came from outside stay visible and start no line of their own."""
    return {
        key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()
    }


def _without_secrets(_logger: Any, _method: str, line: str) -> str:
    """The last guard: whatever a line repeats, and whoever wrote it, it holds no key (G1, K4)."""
    return without_secrets(line)


def _escaped(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
