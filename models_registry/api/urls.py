from typing import Any

from django.urls import path

from common.api.scopes import NO_KEY
from models_registry.api.views import ConnectionViewSet, ModelViewSet

_LIST: dict[str, Any] = {"get": "list", "post": "create"}
_ONE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path("models", ModelViewSet.as_view(_LIST), name="models"),
    path("models/<uuid:pk>", ModelViewSet.as_view(_ONE), name="model"),
    # Staff look at others' rights there: no matter for an API key.
    path(
        "models/<uuid:pk>/access",
        ModelViewSet.as_view({"get": "access"}, key_scopes=NO_KEY),
        name="model-access",
    ),
    path("connections", ConnectionViewSet.as_view(_LIST), name="connections"),
    path("connections/<uuid:pk>", ConnectionViewSet.as_view(_ONE), name="connection"),
    path(
        "connections/<uuid:pk>/test",
        ConnectionViewSet.as_view({"post": "test"}),
        name="connection-test",
    ),
    path(
        "connections/<uuid:pk>/discover",
        ConnectionViewSet.as_view({"post": "discover"}),
        name="connection-discover",
    ),
]
