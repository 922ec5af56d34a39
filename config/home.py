"""The pages that need no account: where to go, and the reference."""

from __future__ import annotations

import functools
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from common import security_headers
from common.api.renderers import dump


@csrf_exempt  # there is nothing to forge: another method is 405, not 403
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """A page for people, JSON for programs."""
    if "text/html" in request.headers.get("Accept", ""):
        return render(
            request, "home.html", {"version": settings.VERSION, "public_url": settings.PUBLIC_URL}
        )
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


@csrf_exempt
@require_safe
def admin(request: HttpRequest) -> HttpResponse:
    """For whoever leaves its slash away, as the API's addresses do."""
    return redirect("admin:index")


@csrf_exempt
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    return _reference(request, "docs/swagger.html")


@csrf_exempt
@require_safe
def redoc(request: HttpRequest) -> HttpResponse:
    return _reference(request, "docs/redoc.html")


@csrf_exempt
@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3 as JSON, which YAML readers can read too."""
    language = translation.get_language() or settings.LANGUAGE_CODE
    return HttpResponse(_schema(language), content_type="application/vnd.oai.openapi+json")


@functools.lru_cache(maxsize=4)
def _schema(language: str) -> bytes:
    """Made once per language: it walks every view, which takes the better part of a second."""
    with translation.override(language):
        generator: Any = SchemaGenerator()  # type: ignore[no-untyped-call]
        return dump(generator.get_schema(request=None, public=True))


def _reference(request: HttpRequest, template: str) -> HttpResponse:
    response: Any = render(request, template)
    response._csp_config = security_headers.DOCS  # noqa: SLF001 what django-csp's decorators set
    return response  # type: ignore[no-any-return]
