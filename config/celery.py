"""The Celery application; its tasks live in each app's `tasks.py`."""

import os
import sys
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.signals import beat_init, celeryd_init, setup_logging
from kombu import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

EMBEDDED = "embedded-"

_RETRY_SECONDS = 2


class SteadyConnection(Connection):
    """Looks for a lost broker every two seconds (F4); kombu's waits grow to half a minute."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["interval_start"] = kwargs["interval_max"] = _RETRY_SECONDS
        return super().ensure_connection(*args, **kwargs)


class Amqp(AMQP):
    Connection = SteadyConnection


app = Celery("parley", amqp=Amqp)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**_signal: object) -> None:
    """A receiver is enough: Celery then leaves levels and handlers as they are."""


@celeryd_init.connect
def begin_worker(instance: Any = None, **_signal: object) -> None:
    """A worker of its own begins as a server does; one inside a server has nothing left to ask."""
    if EMBEDDED not in str(instance.hostname):
        _begin()


@beat_init.connect
def begin_beat(**_signal: object) -> None:
    _begin()


def _begin() -> None:
    from config import start  # noqa: PLC0415 its apps are there by now

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    with start.or_say_why():
        start.check_settings()
        start.wait_for_database(say)
        start.look_for_redis(say)
