"""Forged requests: a token of ours counts only in what one of our own pages sends (S18)."""

from __future__ import annotations

from django.http import HttpRequest
from django.middleware.csrf import REASON_BAD_REFERER, CsrfViewMiddleware, RejectRequest

from common.origins import parts_of


class SameOriginCsrf(CsrfViewMiddleware):
    """Django's check, and the Referer of what comes without Origin on plain http too.

    Django reads the Referer on https only: on http a program between the two could write it as
    well. But a page on another port of our host shares our cookies, and neither header is one
    that a page can forge.
    """

    def _check_token(self, request: HttpRequest) -> None:
        """What Django asks last, of a request whose Origin it has found good if there is one."""
        if "HTTP_ORIGIN" not in request.META and not request.is_secure():
            referer = request.META.get("HTTP_REFERER", "")
            ours = self.allowed_origins_exact | {f"http://{request.get_host()}"}
            asks = parts_of(referer)
            if asks is None or asks not in map(parts_of, ours):
                raise RejectRequest(REASON_BAD_REFERER % referer)
        super()._check_token(request)  # type: ignore[misc]  # the stubs leave it out
