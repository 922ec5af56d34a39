"""Every WebSocket address."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from django.urls import re_path
from django.utils.translation import gettext_lazy as _

from chat import routing as chat
from common import errors
from common.origins import has_own_host
from common.sockets.refusals import Refusing

# Django's types know views only.
_no_socket: Any = Refusing(errors.NotFound())
_no_host = Refusing(
    errors.PermissionDenied(_("This host name is not served here (ALLOWED_HOSTS)."))
)


def websocket_urlpatterns() -> list[Any]:
    """The routes of every app that has any; what none of them knows is refused at the handshake."""
    return [*chat.websocket_urlpatterns, re_path(r"", _no_socket)]


class HostCheck:
    """Refuses a handshake for a name that is not ours (S20): a page on a name of its owner's
    that resolves to this machine would else speak as the person who opened it.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await (self.app if has_own_host(scope) else _no_host)(scope, receive, send)


def router() -> URLRouter:
    return URLRouter(websocket_urlpatterns())
