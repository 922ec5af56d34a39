"""Every HTTP address. Where two apps answer the same one, the higher app comes first."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

from config import home, system

_APPS = ("support", "chat", "quotas", "models_registry", "accounts")


def _has(module: str) -> bool:
    package = module.rpartition(".")[0]
    return bool(("." not in package or find_spec(package)) and find_spec(module))


urlpatterns = [
    path("", home.home, name="home"),
    path("docs", home.docs, name="docs"),
    path("redoc", home.redoc, name="redoc"),
    path("health", system.health_view, name="health"),
    path("health/live", system.live, name="live"),
    path("health/ready", system.ready, name="ready"),
    path("info", system.info, name="info"),
    path("metrics", system.metrics, name="metrics"),
    path("api/v1/schema", home.schema, name="schema"),
    path("admin/", admin.site.urls),
    *(path("api/v1/", include(f"{app}.api.urls")) for app in _APPS if _has(f"{app}.api.urls")),
    *(path("", include(f"{app}.urls")) for app in _APPS if _has(f"{app}.urls")),
]

handler400 = "common.pages.bad_request"
handler403 = "common.pages.permission_denied"
handler404 = "common.pages.page_not_found"
handler500 = "common.pages.server_error"
