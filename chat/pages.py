"""The page behind a share: plain, without script."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from chat.models import Message
from chat.services.sharing import shared_under
from common.errors import NotFound


@csrf_exempt  # there is nothing to forge: another method is 405, not 403
@require_safe
def share(request: HttpRequest, token: str) -> HttpResponse:
    try:
        found = shared_under(token)
    except NotFound:
        response = render(request, "chat/share_gone.html", status=404)
    else:
        turns = [
            {
                "is_ai": turn["role"] == Message.Role.ASSISTANT,
                "model": turn["model"],
                "html": mark_safe(turn["html"]),  # noqa: S308 cleaned before it was stored
                "at": parse_datetime(turn["at"]),
            }
            for turn in found.turns
        ]
        response = render(request, "chat/share.html", {"share": found, "turns": turns})
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
