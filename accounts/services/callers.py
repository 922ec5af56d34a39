"""Who is calling: one answer for HTTP, cookie sessions and WebSockets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts.errors import ForeignOrigin, TokenInvalid
from accounts.models import ApiKey, Session, SignIn, User, is_session_key
from accounts.services import api_keys, key_format, sign_ins, single_user, tokens
from common.addresses import client_address
from common.errors import Unauthenticated
from common.origins import is_listed, is_site, origin_of
from common.request_headers import header
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
    key: ApiKey | None = None

    @property
    def credential_id(self) -> UUID | None:
        """Of the sign-in or the API key: what their sockets and streams live and die with."""
        credential = self.key or self.sign_in
        return credential.pk if credential else None

    @property
    def models(self) -> frozenset[str]:
        """Names of the only models that may answer this caller; empty for all of the person's."""
        return frozenset(self.key.models) if self.key else frozenset()

    def is_within(self, scopes: Collection[str]) -> bool:
        """Does this caller reach what any one of `scopes` is needed for?"""
        return self.scopes is None or not self.scopes.isdisjoint(scopes)

    @property
    def sender(self) -> str:
        """The key that names this caller on rows that people and contacts share."""
        return f"user:{self.user.pk}"


def caller_from_bearer(token: str, *, address: str) -> Caller:
    """Whose access token or API key this is; raises TokenInvalid."""
    if key_format.claims_to_be_key(token):
        return caller_from_key(token, address=address)
    return caller_from_token(token)


def caller_from_key(text: str, *, address: str) -> Caller:
    """Whose API key this is, used from `address`; raises TokenInvalid, whatever is wrong (K4).

    One query, as its scopes and its person are read each time; none for a misspelt one (K1).
    """
    key = api_keys.find(text)
    if key is None or not key.is_live(timezone.now()) or not api_keys.admits(key, address):
        raise TokenInvalid
    api_keys.touch(key)
    return Caller(key.user, None, frozenset(key.scopes), key.expires_at, key)


def caller_from_token(token: str) -> Caller:
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
    """Who opens this WebSocket, by `bearer.<token or key>` among its subprotocols or by the cookie;
    with SINGLE_USER the owner needs neither.

    A bearer alone decides where one is offered. Raises ForeignOrigin (answer 403 before
    accepting), TokenInvalid or Unauthenticated (accept, tell, close with 4401). Whatever the
    address holds is not read.
    """
    origin = origin_of(scope)
    bearer = _bearer(scope.get("subprotocols", ()))
    if bearer is not None:
        if origin is not None and not (is_site(origin, scope) or is_listed(origin)):
            raise ForeignOrigin
        return caller_from_bearer(bearer, address=client_address(scope))
    session_key = _session_key(scope)
    if origin is not None and not is_site(origin, scope):
        raise ForeignOrigin
    if session_key is not None and origin is None:
        raise ForeignOrigin  # any page could have sent the cookie
    caller = caller_from_session(session_key) if session_key else None
    if caller is None and (owner := single_user.owner_at(scope)):
        caller = Caller(owner, None)
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
        morsel = SimpleCookie(header(scope, "cookie")).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    return morsel.value if morsel and morsel.value else None
