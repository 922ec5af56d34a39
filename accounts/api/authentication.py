"""How REST learns who is calling. The first that finds a credential decides alone (S18)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts.errors import TokenInvalid
from accounts.models import User
from accounts.services import single_user
from accounts.services.callers import Caller, caller_from_bearer, caller_from_session
from common.addresses import client_address
from common.api.parsers import StrictJSONParser
from common.csrf import SameOriginCsrf
from common.errors import PermissionDenied, UnsupportedMediaType


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token or API key>`. A bad one is refused, whatever the cookie
    says."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        scheme, _space, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        if not token:
            raise TokenInvalid
        caller = caller_from_bearer(token.strip(), address=client_address(request.META))
        return caller.user, caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class CookieAuthentication(BaseAuthentication):
    """The session cookie of our own pages, with a CSRF token for whatever changes something."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        caller = caller_from_session(session_key) if session_key else None
        if caller is None:
            return None
        check_csrf(request._request)  # noqa: SLF001 DRF's name for Django's request
        return caller.user, caller


class SingleUserAuthentication(BaseAuthentication):
    """The owner of a SINGLE_USER deployment, who brings no credentials."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        if request.META.get("HTTP_AUTHORIZATION"):
            return None
        owner = single_user.owner_at(request.META)
        if owner is None:
            return None
        # A form of another page can send no JSON, and no script without asking first.
        kind = str(request.content_type).partition(";")[0].strip().lower()
        if request.method not in SAFE_METHODS and kind != StrictJSONParser.media_type:
            raise UnsupportedMediaType
        return owner, Caller(owner, None)


def check_csrf(request: HttpRequest) -> None:
    """Raise PermissionDenied unless the request is safe, or carries our token from our origin."""
    check = _Check(_nothing)
    check.process_request(request)
    if check.process_view(request, _nothing, (), {}) is not None:
        raise PermissionDenied(
            _("The CSRF token is missing or wrong, or another site sent this. Load the page again.")
        )


class _Check(SameOriginCsrf):
    """Says why instead of rendering a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _nothing(_request: HttpRequest) -> HttpResponse:
    """What the middleware guards here: only its checks are used, never its chain."""
    return HttpResponse()
