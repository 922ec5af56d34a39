"""Signed-in devices, their cookie sessions, and the count of failures at the door."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING
from uuid import uuid4

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Record

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.sessions.backends.base import SessionBase


_SESSION_KEY = re.compile(r"[a-z0-9]{32}")


def live_sign_in(now: datetime, *, prefix: str = "") -> Q:
    """Not revoked, not run out, not left idle for too long, and of somebody who is active."""
    conditions = {
        "revoked_at": None,
        "expires_at__gt": now,
        "idle_expires_at__gt": now,
        "user__is_active": True,
    }
    return Q(**{prefix + name: value for name, value in conditions.items()})


class SignInQuerySet(models.QuerySet["SignIn"]):
    def live(self) -> SignInQuerySet:
        return self.filter(live_sign_in(timezone.now()))


class SignIn(Record):
    """One signed-in device: a family of refresh tokens and, in a browser, the cookie session.

    `refresh_id` names the one refresh token of the family that is good now, `expires_at` ends
    the family whatever happens, `idle_expires_at` ends it when nothing came from the device.
    """

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="sign_ins", verbose_name=_("user")
    )
    refresh_id = models.UUIDField(default=uuid4, editable=False)
    idle_seconds = models.PositiveIntegerField(editable=False)
    expires_at = models.DateTimeField(_("expires at"), db_index=True)
    idle_expires_at = models.DateTimeField(_("expires unused at"))
    last_used_at = models.DateTimeField(_("last used at"), default=timezone.now)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    client = models.CharField(_("client"), max_length=200, blank=True)
    address = models.CharField(_("address"), max_length=45, blank=True)

    objects = SignInQuerySet.as_manager()

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")

    def __str__(self) -> str:
        return self.client or str(self.id)

    def is_live(self, now: datetime) -> bool:
        """`live_sign_in` for a row that is read already, with its user.

        Every request asks this; as conditions of the query it costs half a millisecond more.
        """
        return (
            self.revoked_at is None
            and self.expires_at > now
            and self.idle_expires_at > now
            and self.user.is_active
        )


def is_session_key(text: str) -> bool:
    """Could Django have made it? A cookie may hold anything, NUL too when it is quoted, and
    PostgreSQL answers that with an error."""
    return _SESSION_KEY.fullmatch(text) is not None


class Session(AbstractBaseSession):
    """A cookie session, bound to the sign-in that it is the cookie of (none before signing in)."""

    sign_in = models.ForeignKey(
        SignIn, on_delete=models.CASCADE, null=True, blank=True, related_name="sessions"
    )

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    def __str__(self) -> str:
        return str(self.sign_in_id or "")

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        # By its setting, as Django finds it: the store imports this model.
        store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        return store


class SignInFailures(models.Model):
    """How often signing in failed within the window that began at `window_start` (S8).

    `subject` is a digest: people type passwords into the field for the name.
    """

    class Scope(models.TextChoices):
        ADDRESS = "address", _("An address")
        ACCOUNT = "account", _("An account")
        BOTH = "account_address", _("An account at an address")

    scope = models.CharField(_("scope"), max_length=16, choices=Scope.choices)
    subject = models.CharField(max_length=64)
    window_start = models.DateTimeField(_("window began at"), db_index=True)
    count = models.PositiveIntegerField(_("failures"))
    # Since when its door is shut, so that this is noted once and not with every further try.
    locked_at = models.DateTimeField(_("locked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("failed sign-ins")
        verbose_name_plural = _("failed sign-ins")
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "subject"], name="one_failure_count_per_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.count}"
