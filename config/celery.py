"""The Celery application; its tasks live in each app's `tasks.py`."""

import os
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.signals import setup_logging
from kombu import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

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
