"""The ASGI application: what any server runs, and `manage.py serve` with all that belongs to it."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter
from django.conf import settings

from common.streaming import StreamingHandler
from config.body_limits import BodyLimits
from config.jobs import run_here
from config.lifespan import StartAtFirstRequest, lifespan
from config.routing import HostCheck, router
from config.static_files import StaticFiles

application: Any = ProtocolTypeRouter(
    {
        "lifespan": lifespan,
        "http": StaticFiles(BodyLimits(StreamingHandler())),
        "websocket": HostCheck(router()),
    }
)
if settings.RUNSERVER:
    run_here()
    application = StartAtFirstRequest(application)
