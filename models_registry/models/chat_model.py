"""What people chat with, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.models import Record
from models_registry.models.connection import PERSONAL, SYSTEM, Connection
from models_registry.models.price import Price, price_at

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from accounts.models import User


class ChatModelQuerySet(models.QuerySet["ChatModel"]):
    def open_to(self, user: User) -> ChatModelQuerySet:
        """Those whose access lets `user` in, enabled or not."""
        return self.open_to_id(user.pk)

    def open_to_id(self, user_id: Any) -> ChatModelQuerySet:
        """The same for an id, or for what stands in its place in SQL."""
        by_role = ChatModel.roles.through.objects.filter(
            chatmodel=OuterRef("pk"), group__user=user_id
        )
        by_name = ChatModel.users.through.objects.filter(chatmodel=OuterRef("pk"), user=user_id)
        system = Q(owner__isnull=True) & (Q(everyone=True) | Exists(by_role) | Exists(by_name))
        return self.filter(Q(owner=user_id) | system)

    def enabled(self) -> ChatModelQuerySet:
        return self.filter(enabled=True, connection__enabled=True)

    def usable_by(self, user: User) -> ChatModelQuerySet:
        """Those `user` can chat with now. Their own hides a system one of the same name."""
        own = ChatModel.objects.filter(owner=user.pk, name=OuterRef("name"))
        shadowed = Q(owner__isnull=True) & Exists(own)
        return self.open_to(user).enabled().exclude(shadowed)

    def named(self, names: Collection[str]) -> ChatModelQuerySet:
        """Those of these names; all where there are none, as an API key has it."""
        return self.filter(name__in=names) if names else self

    def unusable_by(self, user: User) -> ChatModelQuerySet:
        """Those that are theirs or open to them, and that they cannot chat with now."""
        usable = ChatModel.objects.usable_by(user).values("pk")
        return self.open_to(user).exclude(pk__in=usable)

    def manageable_by(self, user: User) -> ChatModelQuerySet:
        """Their own, and the system ones if they may see all of those."""
        own = Q(owner=user.pk)
        if user.has_perm("models_registry.view_chatmodel"):
            own |= Q(owner__isnull=True)
        return self.filter(own)


class ChatModel(Record):
    """A name people chat with, offered through a connection.

    Prices are integers: billionths of the currency unit per 1,000,000 tokens. The columns are what
    it costs until a price from a date holds; `price` is what it costs now.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="chat_models",
        verbose_name=_("owner"),
        help_text=_("Empty for a model of the deployment."),
    )
    connection = models.ForeignKey(
        Connection,
        on_delete=models.CASCADE,
        related_name="chat_models",
        verbose_name=_("connection"),
    )
    name = models.CharField(_("name"), max_length=200)
    upstream_name = models.CharField(
        _("upstream name"), max_length=200, help_text=_("What the provider is asked for.")
    )
    display_name = models.CharField(_("display name"), max_length=80, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    context_window = models.PositiveIntegerField(_("context window"), null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(_("most output tokens"), null=True, blank=True)
    capabilities = models.JSONField(_("capabilities"), default=list, blank=True)
    input_price = models.BigIntegerField(_("input price"), default=0)
    output_price = models.BigIntegerField(_("output price"), default=0)
    cached_price = models.BigIntegerField(
        _("price of cached input"),
        null=True,
        blank=True,
        help_text=_("Empty: as any other input."),
    )
    # A copy of its `ModelPrice` rows, the newest that has begun and those to come, in their order:
    # [starts_at, input, output, cached]. So that what a turn costs takes no query.
    dated_prices = models.JSONField(
        _("prices from a date"), default=list, db_default=[], blank=True, editable=False
    )
    everyone = models.BooleanField(
        _("open to everyone"), default=False, help_text=_("For models of the deployment.")
    )
    roles = models.ManyToManyField(
        Group, blank=True, related_name="chat_models", verbose_name=_("roles")
    )
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="granted_models",
        verbose_name=_("people"),
    )
    # Ids of models, in the order they are tried. A plain list, so that a turn of a model without
    # fallbacks costs no query; ids that are gone are simply not found.
    fallbacks = models.JSONField(_("fallbacks"), default=list, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = ChatModelQuerySet.as_manager()

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(owner__isnull=True),
                name="one_system_model_per_name",
            ),
            models.UniqueConstraint(
                fields=["owner", "name"],
                condition=Q(owner__isnull=False),
                name="one_personal_model_per_name",
            ),
            models.CheckConstraint(
                condition=Q(input_price__gte=0)
                & Q(output_price__gte=0)
                & (Q(cached_price__isnull=True) | Q(cached_price__gte=0)),
                name="model_prices_are_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> str:
        return SYSTEM if self.owner_id is None else PERSONAL

    @property
    def price(self) -> Price:
        """What it costs now."""
        return self.price_at(timezone.now())

    def price_at(self, at: datetime) -> Price:
        """What it costs at a time that is not before the last change of its prices."""
        return price_at(self.dated_prices, at) or self.first_price

    @property
    def first_price(self) -> Price:
        """What it costs until a price from a date holds."""
        return Price(self.input_price, self.output_price, self.cached_price)
