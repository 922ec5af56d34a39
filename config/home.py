"""The pages that need no account: where to go, and the reference."""

from __future__ import annotations

from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from common import security_headers


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """A page for people, JSON for programs."""
    if "text/html" in request.headers.get("Accept", ""):
        return render(request, "home.html", {"version": settings.VERSION})
    places = {
        "name": "Parley",
        "version": settings.VERSION,
        "api": f"{settings.PUBLIC_URL}/api/v1/",
        "docs": f"{settings.PUBLIC_URL}/docs",
        "schema": f"{settings.PUBLIC_URL}/api/v1/schema",
        "health": f"{settings.PUBLIC_URL}/health",
        "info": f"{settings.PUBLIC_URL}/info",
    }
    return HttpResponse(orjson.dumps(places), content_type="application/json")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    return _reference(request, "docs/swagger.html", title=_("API reference"))


@require_safe
def redoc(request: HttpRequest) -> HttpResponse:
    return _reference(request, "docs/redoc.html", title=_("API reference"))


def _reference(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    response: Any = render(request, template, context)
    response._csp_config = security_headers.DOCS  # noqa: SLF001 what django-csp's decorators set
    return response  # type: ignore[no-any-return]
