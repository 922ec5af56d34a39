"""Every HTTP address. Where two apps answer the same one, the higher app comes first."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

_APPS = ("support", "chat", "quotas", "models_registry", "accounts")

urlpatterns = [
    path("admin/", admin.site.urls),
    *(
        path("api/v1/", include(f"{app}.api.urls"))
        for app in _APPS
        if find_spec(f"{app}.api") and find_spec(f"{app}.api.urls")
    ),
]

handler400 = "common.pages.bad_request"
handler403 = "common.pages.permission_denied"
handler404 = "common.pages.page_not_found"
handler500 = "common.pages.server_error"
