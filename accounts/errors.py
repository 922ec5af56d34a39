"""Refusals at the door."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from common.errors import PermissionDenied, RateLimited, Unauthenticated


class InvalidCredentials(Unauthenticated):
    code = "invalid_credentials"
    title = _("User name or password is wrong.")


class TokenInvalid(Unauthenticated):
    code = "token_invalid"
    title = _("This token is not valid, or no longer. Sign in again.")


class RegistrationClosed(PermissionDenied):
    code = "registration_closed"
    title = _("Making new accounts is closed here. Ask an administrator.")


class ForeignOrigin(PermissionDenied):
    """A browser page of another site asks; a socket is refused before it is accepted (W1)."""

    title = _("This site may not connect from there.")


class LockedOut(RateLimited):
    code = "locked_out"
    title = _("Too many tries. Wait a while.")
