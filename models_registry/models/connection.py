"""Where models are reached, and with which key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common import sealed
from common.models import Record

if TYPE_CHECKING:
    from accounts.models import User

SYSTEM = "system"
PERSONAL = "personal"


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def system(self) -> ConnectionQuerySet:
        return self.filter(owner__isnull=True)

    def manageable_by(self, user: User) -> ConnectionQuerySet:
        """Their own, and the system ones if they may see those."""
        own = Q(owner=user)
        if user.has_perm("models_registry.view_connection"):
            own |= Q(owner__isnull=True)
        return self.filter(own)


class Connection(Record):
    """A provider's address with an encrypted key. Without an owner it is the deployment's."""

    class Provider(models.TextChoices):
        OPENAI = "openai", "OpenAI"
        OPENAI_COMPATIBLE = "openai_compatible", _("OpenAI-compatible server")
        ANTHROPIC = "anthropic", "Anthropic"
        DASHSCOPE = "dashscope", "DashScope"
        OFFLINE = "offline", _("Built in (offline)")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="connections",
        verbose_name=_("owner"),
        help_text=_("Empty for a connection of the deployment."),
    )
    name = models.CharField(_("name"), max_length=80)
    provider = models.CharField(_("provider"), max_length=32, choices=Provider)
    base_url = models.CharField(_("base URL"), max_length=500, blank=True)
    sealed_api_key = models.TextField(_("encrypted API key"), blank=True, editable=False)
    api_key_hint = models.CharField(_("key ends with"), max_length=8, blank=True, editable=False)
    enabled = models.BooleanField(_("enabled"), default=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> str:
        return SYSTEM if self.owner_id is None else PERSONAL

    @property
    def key_context(self) -> str:
        """What the encrypted key is bound to, so that a copy in another row does not open."""
        return f"models_registry.connection:{self.pk}:api_key"


sealed.register(Connection, "sealed_api_key", context=lambda row: row.key_context)


class EnvironmentProvider(Record):
    """A provider that the environment once named. It outlives its connection: deleted stays so."""

    provider = models.CharField(_("provider"), max_length=32, unique=True)
    connection = models.OneToOneField(
        Connection,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="environment",
        verbose_name=_("connection"),
    )
    listed_at = models.DateTimeField(
        _("models listed at"),
        null=True,
        blank=True,
        help_text=_("Empty until the server's list of models was read once."),
    )

    class Meta:
        verbose_name = _("provider named by the environment")
        verbose_name_plural = _("providers named by the environment")

    def __str__(self) -> str:
        return self.provider
