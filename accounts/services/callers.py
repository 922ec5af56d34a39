"""Who is calling: one answer for HTTP, cookie sessions and WebSockets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils import timezone

from accounts.errors import ForeignOrigin, TokenInvalid
from accounts.models import Session, SignIn, User, is_session_key
from accounts.services import sign_ins, tokens
from common.errors import Unauthenticated
from common.statements import SelectWith

BEARER_PROTOCOL = "bearer."

_signed_in = SelectWith(
    SignIn,
    "user",
    "sign_in",
    "user",
    build=lambda sign_in, user: SignIn.objects.filter(pk=sign_in, user=user),
)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, and what they came with. `scopes` None means all of the person's rights."""

    user: User
    sign_in: SignIn | None
    scopes: frozenset[str] | None = None
    expires_at: datetime | None = None

    @property
    def sender(self) -> str:
        """The key that names this caller on rows that people and contacts share."""
        return f"user:{self.user.pk}"


def caller_from_bearer(token: str) -> Caller:
    """Whose access token this is; raises TokenInvalid. One query, as rights are read each time."""
    claims = tokens.read(token)
    sign_in = _signed_in.first(sign_in=claims.sign_in_id, user=claims.user_id)
    if sign_in is None or not sign_in.is_live(timezone.now()):
        raise TokenInvalid
    sign_ins.touch(sign_in)
    return Caller(sign_in.user, sign_in, expires_at=claims.expires_at)


def caller_from_session(session_key: str) -> Caller | None:
    """Who is signed in with this session cookie. One query."""
    if not is_session_key(session_key):
        return None
    now = timezone.now()
    try:
        session = Session.objects.select_related("sign_in__user").get(session_key=session_key)
    except Session.DoesNotExist:
        return None
    sign_in = session.sign_in
    if sign_in is None or session.expire_date <= now or not sign_in.is_live(now):
        return None
    sign_ins.touch(sign_in)
    return Caller(sign_in.user, sign_in, expires_at=min(session.expire_date, sign_in.expires_at))


def caller_from_handshake(scope: Mapping[str, Any]) -> Caller:
    """Who opens this WebSocket, by `bearer.<token>` among its subprotocols or by the cookie.

    A bearer alone decides where one is offered. Raises ForeignOrigin (answer 403 before
    accepting), TokenInvalid or Unauthenticated (accept, tell, close with 4401). Whatever the
    address holds is not read.
    """
    origin = _header(scope, b"origin")
    bearer = _bearer(scope.get("subprotocols", ()))
    if bearer is not None:
        if origin is not None and not (_is_site(origin, scope) or _is_listed(origin)):
            raise ForeignOrigin
        return caller_from_bearer(bearer)
    session_key = _session_key(scope)
    if origin is not None and not _is_site(origin, scope):
        raise ForeignOrigin
    if session_key is None:
        raise Unauthenticated
    if origin is None:
        raise ForeignOrigin  # any page could have sent the cookie
    caller = caller_from_session(session_key)
    if caller is None:
        raise Unauthenticated
    return caller


def _bearer(subprotocols: Iterable[str]) -> str | None:
    for protocol in subprotocols:
        if protocol.startswith(BEARER_PROTOCOL):
            return protocol.removeprefix(BEARER_PROTOCOL)
    return None


def _session_key(scope: Mapping[str, Any]) -> str | None:
    try:
        morsel = SimpleCookie(_header(scope, b"cookie") or "").get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    return morsel.value if morsel and morsel.value else None


def _is_site(origin: str, scope: Mapping[str, Any]) -> bool:
    """Equal to the deployment's own address in scheme, host and port (W1)."""
    asked = _origin_parts(origin)
    if asked is None:
        return False
    return asked == _origin_parts(settings.PUBLIC_URL) or asked == _own_origin(scope)


def _own_origin(scope: Mapping[str, Any]) -> tuple[str, str, int] | None:
    """What the browser was pointed at, if that name is ours: else any name that resolves to this
    machine would make its page a part of the site (S20)."""
    host = _header(scope, b"host") or ""
    domain, _ = split_domain_port(host)
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        return None
    scheme = "https" if scope.get("scheme") in {"wss", "https"} else "http"
    return _origin_parts(f"{scheme}://{host}")


def _is_listed(origin: str) -> bool:
    asked = _origin_parts(origin)
    return asked is not None and any(
        asked == _origin_parts(listed) for listed in settings.CORS_ORIGINS
    )


def _origin_parts(origin: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def _header(scope: Mapping[str, Any], name: bytes) -> str | None:
    for key, value in scope.get("headers", ()):
        if key.lower() == name:
            text: str = value.decode("latin-1")
            return text
    return None
