"""API keys: what a program of a person's shows instead of signing in (K1, K2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Record

if TYPE_CHECKING:
    from datetime import datetime


class Scope(models.TextChoices):
    """What a key may be used for. The words never change: programs speak them."""

    READ = "read", _("Read conversations, models and usage")
    CHAT = "chat", _("Chat: conversations, messages and answers")
    SUPPORT = "support", _("Support desk")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def visible_to(self, user: User) -> ApiKeyQuerySet:
        """One's own. A revoked one does not exist any more, an expired one is still told of."""
        return self.filter(user=user, revoked_at=None)


class ApiKey(Record):
    """A key of a person's: as much of their rights as its scopes say, and never more.

    The key itself is kept nowhere: `digest` recognises it, `prefix` tells it apart. Empty lists of
    `models` and `addresses` are no bounds, an empty list of `scopes` lets it do nothing. The row
    of a revoked key stays a while, for whoever looks up what was used with it.
    """

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=settings.NAME_CHARACTERS)
    prefix = models.CharField(_("begins with"), max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    addresses = models.JSONField(_("addresses"), default=list)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    # The last field: from here on the name is no longer Django's module.
    models = models.JSONField(_("models"), default=list)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def is_live(self, now: datetime) -> bool:
        """Neither revoked nor run out, and of somebody who is active; read with its person."""
        return (
            self.revoked_at is None
            and (self.expires_at is None or self.expires_at > now)
            and self.user.is_active
        )
