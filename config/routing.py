"""Every WebSocket address."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from common.unrouted import UnroutedSocket

_APPS = ("support", "chat", "accounts")


def websocket_urlpatterns() -> list[Any]:
    """The routes of every app that has any; what none of them knows is refused at the handshake."""
    routes: list[Any] = []
    for app in _APPS:
        if find_spec(f"{app}.routing"):
            routes += import_module(f"{app}.routing").websocket_urlpatterns
    return [*routes, re_path(r"", UnroutedSocket.as_asgi())]


def router() -> URLRouter:
    return URLRouter(websocket_urlpatterns())
