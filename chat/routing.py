from typing import Any

from django.urls import path

from chat.consumers import ChatConsumer

# Django's types know views only.
_chat: Any = ChatConsumer.as_asgi()

websocket_urlpatterns = [path("ws/chat", _chat)]
