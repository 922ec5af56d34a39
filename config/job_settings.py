"""Celery's settings, and when each job runs. A part of `config.settings`."""

from __future__ import annotations

from config import env
from config.stores import REDIS_URL

EMBEDDED_WORKER = env.switch("EMBEDDED_WORKER", default=True)
CELERY_BROKER_URL = REDIS_URL or "memory://localhost/"
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"visibility_timeout": 3_600, "socket_timeout": 30, "socket_connect_timeout": 5}
    if REDIS_URL
    else {"polling_interval": 0.05}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker that gives up would stay away for good
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "parley"
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_WORKER_REDIRECT_STDOUTS = False  # else every print of the server goes to Celery's log
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_ALWAYS_EAGER = False
CELERY_BEAT_SCHEDULER = "config.jobs:OneBeat"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    "heartbeat": {"task": "common.tasks.heartbeat", "schedule": 20.0},
    "mail": {"task": "accounts.tasks.send_waiting_mail", "schedule": 60.0},
    "quota_mail": {"task": "quotas.tasks.mail_quota_warnings", "schedule": 60.0},
    # Not only at night: some things last an hour, and a laptop sleeps at night.
    "purge": {"task": "common.tasks.purge", "schedule": 3_600.0},
    "words": {"task": "chat.tasks.forget_deleted_words", "schedule": 3_600.0},
    "holds": {"task": "chat.tasks.settle_holds", "schedule": 3_600.0},
    # A look that came too late is not made up for: the next one sees the same.
    "search": {
        "task": "chat.tasks.index_for_search",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "titles": {
        "task": "chat.tasks.write_titles",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "summaries": {
        "task": "chat.tasks.write_summaries",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "models": {"task": "models_registry.tasks.list_environment_models", "schedule": 60.0},
}
