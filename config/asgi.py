"""The ASGI application: what any server runs, and `manage.py serve` with all that belongs to it."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from channels.routing import ProtocolTypeRouter

from config.body_limits import BodyLimits
from config.lifespan import lifespan
from config.routing import HostCheck, router
from config.static_files import StaticFiles

application = ProtocolTypeRouter(
    {
        "lifespan": lifespan,
        "http": StaticFiles(BodyLimits(_django)),
        "websocket": HostCheck(router()),
    }
)
