"""Passwords: what one may be, and hashing it without holding what others need."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.hashers import (
    UNUSABLE_PASSWORD_PREFIX,
    make_password,
    verify_password,
)
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import User
from common.db import release_connection
from common.errors import Invalid


@dataclass(frozen=True, slots=True)
class Verdict:
    """`upgrade` is the hash to store instead, when the stored one is of an older kind."""

    right: bool
    upgrade: str | None = None


def check_length(password: str, *, field: str = "password") -> None:
    """Raise Invalid for what no hasher may see (S9); costs nothing."""
    if (
        len(password) > settings.PASSWORD_MAX_CHARACTERS
        or len(password.encode("utf-8", "surrogatepass")) > settings.PASSWORD_MAX_BYTES
    ):
        text = _("A password has at most %(characters)d characters.")
        raise Invalid.field(field, text % {"characters": settings.PASSWORD_MAX_CHARACTERS})


def check_new(password: str, *, user: User, field: str = "password") -> None:
    """Raise Invalid for a password that is too long, too short, common, or like the name."""
    check_length(password, field=field)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(error.messages[0], errors={field: list(error.messages)}) from error


def hash_password(password: str) -> str:
    """Takes a tenth of a second and may wait for seconds, so never call it in a transaction."""
    release_connection()
    return make_password(password)


def verify(user: User | None, password: str) -> Verdict:
    """Is it the password of `user`? As slow for nobody, and for a user without password (S7).

    The connection goes back to the pool first: at the hasher people queue.
    """
    release_connection()
    encoded = user.password if user else UNUSABLE_PASSWORD_PREFIX
    right, outdated = verify_password(password, encoded)
    return Verdict(right, make_password(password) if right and outdated else None)
