"""Headers that keep browsers honest (X3, X4)."""

from __future__ import annotations

from typing import Any

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

HEADER = "Content-Security-Policy"

PAGES: dict[str, Any] = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:", "blob:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "manifest-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
    "require-trusted-types-for": ["'script'"],
}
# Swagger UI and ReDoc write styles and inner HTML themselves; scripts still need our nonce.
DOCS: dict[str, Any] = {
    **{name: value for name, value in PAGES.items() if name != "require-trusted-types-for"},
    "script-src": [SELF, NONCE],
    "style-src": [SELF, UNSAFE_INLINE],
    "worker-src": [SELF, "blob:"],
}
# The admin's skin evaluates Alpine expressions and sets inline styles.
ADMIN: dict[str, Any] = {
    **{name: value for name, value in PAGES.items() if name != "require-trusted-types-for"},
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
}
DATA = "default-src 'none'; frame-ancestors 'none'"

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_HTTPS = _EVERYWHERE | {"Strict-Transport-Security": "max-age=31536000"}
VARY = ("Authorization", "Cookie", "Origin", "Accept-Language")


def everywhere() -> dict[str, str]:
    """What every answer carries, also one that is written past Django (X4)."""
    return _HTTPS if settings.HTTPS else _EVERYWHERE


class SecurityHeaders:
    """Adds them to every response. django-csp's class is called, not installed: as a middleware
    it costs two thread hops a request.
    """

    def __init__(self) -> None:
        self.csp = CSPMiddleware(lambda _request: None)  # type: ignore[arg-type]

    def begin(self, request: Any) -> None:
        self.csp.process_request(request)

    def add(self, request: Any, response: HttpResponseBase, *, api: bool) -> None:
        for name, value in everywhere().items():
            response.setdefault(name, value)
        response.setdefault("Cache-Control", "no-store")
        patch_vary_headers(response, VARY)
        if api and not response.get("Content-Type", "").startswith("text/html"):
            response.setdefault(HEADER, DATA)
        elif request.path_info.startswith("/admin/"):
            response.setdefault(HEADER, build_policy(config=ADMIN))
        else:
            self.csp.process_response(request, response)
        # A circle, which would outlive the answer: it is made of the request that holds it (R7).
        vars(request).pop("csp_nonce", None)
