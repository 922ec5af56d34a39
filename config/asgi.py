"""The ASGI application."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from config.routing import router

application = ProtocolTypeRouter({"http": _django, "websocket": router()})
