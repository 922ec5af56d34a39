"""Every HTTP address. Where two apps answer the same one, the higher app comes first."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from config import home, system

# Here, not when Django is set up: a command or a worker starts without the admin's pages.
admin.autodiscover()

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
    path("admin", home.admin),
    path("admin/", admin.site.urls),
    path("api/v1/", include("chat.api.urls")),
    path("api/v1/", include("quotas.api.urls")),
    path("api/v1/", include("models_registry.api.urls")),
    path("api/v1/", include("accounts.api.urls")),
    path("v1/", include("chat.api.openai.urls")),
    path("", include("chat.urls")),
    path("", include("accounts.urls")),
]

handler400 = "common.error_views.bad_request"
handler403 = "common.error_views.permission_denied"
handler404 = "common.error_views.page_not_found"
handler500 = "common.error_views.server_error"
