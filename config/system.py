"""What Parley tells about itself: health, versions, metrics."""

from __future__ import annotations

import hmac

import orjson
from constance import config
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView

from accounts.services import registration, single_user
from common import errors, lifecycle
from common.addresses import is_direct_loopback
from common.health import DISK_LOW, health
from common.problems import problem_response
from common.sockets.registry import sockets

# Where the disk is full people still read.
_READY = {"ok", DISK_LOW}


def _json(data: object, *, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), content_type="application/json", status=status)


@require_safe
async def health_view(request: HttpRequest) -> HttpResponse:
    """Every dependency, by name."""
    checks = await health.checks()
    is_well = all(result == "ok" for result in checks.values())
    body = {
        "status": "healthy" if is_well else "unhealthy",
        "version": settings.VERSION,
        "checks": checks,
        "active_connections": sockets.total,
    }
    return _json(body, status=200 if is_well else 503)


@require_safe
async def live(request: HttpRequest) -> HttpResponse:
    """The process answers. Touches nothing else."""
    return _json({"status": "alive"})


@require_safe
async def ready(request: HttpRequest) -> HttpResponse:
    """May a balancer send requests here? No longer once SIGTERM came."""
    if lifecycle.draining:
        return _json({"status": "draining"}, status=503)
    database = (await health.checks())["database"]
    if database not in _READY:
        return _json({"status": "unavailable", "checks": {"database": database}}, status=503)
    return _json({"status": "ready"})


@require_safe
def info(request: HttpRequest) -> HttpResponse:
    return _json(
        {
            "name": config.site_name,
            "version": settings.VERSION,
            "registration_open": registration.is_open(),
            # Whoever reads true does not sign in: it is true for those who need not.
            "single_user": single_user.is_at_home(request.META),
            "languages": [code for code, _name in settings.LANGUAGES],
        }
    )


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For the holder of METRICS_TOKEN; without that setting, for programs on this machine (R11)."""
    if not _may_read_metrics(request):
        return problem_response(errors.Unauthenticated(), request)
    exported: HttpResponse = ExportToDjangoView(request)
    return exported


def _may_read_metrics(request: HttpRequest) -> bool:
    if not settings.METRICS_TOKEN:
        return is_direct_loopback(request.META)
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(
        token.strip().encode(), settings.METRICS_TOKEN.encode()
    )
