"""Access and refresh tokens: signed claims that name a sign-in and nothing else (S1, S5, S6)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

import jwt
from django.conf import settings
from django.db.models import Exists
from django.utils import timezone
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.tokens import Token

from accounts.errors import TokenInvalid
from accounts.models import SignIn, User
from accounts.services import sign_ins
from common.db import write_transaction

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "parley"
_HEADER = {"alg": ALGORITHM, "typ": "JWT"}
_LONGEST = 2_048


class SigningKeys(TokenBackend):
    """`SIGNING_KEYS`: the first signs, all verify. Stricter than the library about what is read."""

    def __init__(self) -> None:
        super().__init__(ALGORITHM, audience=AUDIENCE, issuer=ISSUER)

    def get_leeway(self) -> timedelta:
        return timedelta(seconds=settings.TOKEN_LEEWAY_SECONDS)

    def encode(self, payload: dict[str, Any]) -> str:
        claims = payload | {"aud": AUDIENCE, "iss": ISSUER}
        return jwt.encode(claims, settings.SIGNING_KEYS[0], ALGORITHM)

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        text = str(token)
        try:
            # Not a matter of taste: `kid`, `jku` and `crit` are doors of their own.
            if len(text) > _LONGEST or jwt.get_unverified_header(text) != _HEADER:
                raise TokenBackendError("header")
            return self._decode(text)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as exc:
            # The library lets some of them pass, as "exp": 1e999.
            raise TokenBackendError("token") from exc

    def _decode(self, text: str) -> dict[str, Any]:
        for key in settings.SIGNING_KEYS:
            with suppress(jwt.InvalidSignatureError):
                claims: dict[str, Any] = jwt.decode(
                    text,
                    key,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    issuer=ISSUER,
                    leeway=self.get_leeway(),
                    options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"]},
                )
                return claims
        raise TokenBackendError("key")


class _ParleyToken(Token):
    _token_backend = SigningKeys()

    def check_exp(self, claim: str = "exp", current_time: datetime | None = None) -> None:
        """Left to the backend, which has done it before and does not overflow."""


class AccessToken(_ParleyToken):
    token_type = "access"  # noqa: S105

    @property
    def lifetime(self) -> timedelta:  # type: ignore[override]
        return timedelta(seconds=settings.ACCESS_TOKEN_SECONDS)


class RefreshToken(_ParleyToken):
    token_type = "refresh"  # noqa: S105

    @property
    def lifetime(self) -> timedelta:  # type: ignore[override]
        return timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, each of the type it must have. Rights are never among it (S3)."""

    user_id: UUID
    sign_in_id: UUID
    token_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    access_token: str
    refresh_token: str
    expires_in: int


def issue(sign_in: SignIn) -> TokenPair:
    """Tokens for a device; neither outlives its family."""
    access, refresh = AccessToken(), RefreshToken()
    family_ends = int(sign_in.expires_at.timestamp())
    for token, token_id in ((access, uuid4()), (refresh, sign_in.refresh_id)):
        token["sub"], token["sid"] = str(sign_in.user_id), str(sign_in.pk)
        token["jti"] = str(token_id)
        token["exp"] = min(token["exp"], family_ends)
    return TokenPair(str(access), str(refresh), access["exp"] - access["iat"])


def read(text: str, kind: type[_ParleyToken] = AccessToken) -> Claims:
    """The claims of a token that is good by itself; raises TokenInvalid. Asks no database."""
    keys = tuple(settings.SIGNING_KEYS)
    claims = _verified(text, kind, keys)  # type: ignore[arg-type]  # a class has a hash
    if claims.expires_at + timedelta(seconds=settings.TOKEN_LEEWAY_SECONDS) <= timezone.now():
        raise TokenInvalid
    return claims


@lru_cache(maxsize=4_096)
def _verified(text: str, kind: type[_ParleyToken], _keys: tuple[str, ...]) -> Claims:
    """A token's signature and form stay what they are, and checking them takes longer than the
    database takes for its sign-in; only time has to be looked at anew."""
    try:
        token = kind(text)  # type: ignore[arg-type]
        return Claims(
            user_id=_uuid(token.get("sub")),
            sign_in_id=_uuid(token.get("sid")),
            token_id=_uuid(token.get("jti")),
            expires_at=datetime.fromtimestamp(token["exp"], UTC),
        )
    except (TokenError, ValueError, TypeError, OverflowError, OSError) as exc:
        raise TokenInvalid from exc


def rotate(refresh_token: str) -> tuple[SignIn, TokenPair]:
    """New tokens for a refresh token, which is dead from then on.

    Raises TokenInvalid. A token that was used before ends its whole family: either the caller or
    who came first is a thief, and nobody can tell which.
    """
    claims = read(refresh_token, RefreshToken)
    now = timezone.now()
    # Plain columns decide, so that of two at once the second sees what the first wrote; a
    # condition within a subquery would still see the old row (PostgreSQL, READ COMMITTED).
    family = SignIn.objects.filter(
        Exists(User.objects.active().filter(pk=claims.user_id)),
        pk=claims.sign_in_id,
        user_id=claims.user_id,
        revoked_at=None,
        expires_at__gt=now,
    )
    with write_transaction():
        won = family.filter(refresh_id=claims.token_id).update(
            refresh_id=uuid4(),
            last_used_at=now,
            idle_expires_at=now + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS),
        )
    if not won:
        if family.exclude(refresh_id=claims.token_id).exists():
            _sign_out(claims, by_owner=False, reason="a token was used twice")
        raise TokenInvalid
    sign_in = SignIn.objects.select_related("user").filter(pk=claims.sign_in_id).first()
    if sign_in is None:  # erased a moment ago
        raise TokenInvalid
    return sign_in, issue(sign_in)


def end(refresh_token: str) -> None:
    """Sign out the device that holds this token; raises TokenInvalid."""
    _sign_out(read(refresh_token, RefreshToken), by_owner=True)


def _sign_out(claims: Claims, *, by_owner: bool, reason: str = "") -> None:
    user = User.objects.get_queryset().filter(pk=claims.user_id).first()
    if user is not None:
        actor = user if by_owner else None
        sign_ins.sign_out(user, actor=actor, only=claims.sign_in_id, reason=reason)


def _uuid(value: object) -> UUID:
    if not isinstance(value, str):
        raise TypeError(value)
    parsed = UUID(value)
    if str(parsed) != value:
        raise ValueError(value)  # `UUID` also takes braces, URNs and capitals
    return parsed
