"""What a model costs, and from when on."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from common.models import Record


class Price(NamedTuple):
    """Billionths of the currency unit per 1,000,000 tokens; cached input of None costs as much as
    any other. Named as the columns are."""

    input_price: int
    output_price: int
    cached_price: int | None

    @property
    def cached_input(self) -> int:
        return self.input_price if self.cached_price is None else self.cached_price


class ModelPrice(Record):
    """What a model costs from `starts_at` on, until the next one holds; before the first one the
    model's own columns do. Amounts as those of `ChatModel`.

    Turns read the model's copy of these (`ChatModel.dated_prices`); services write both.
    """

    model = models.ForeignKey(
        "models_registry.ChatModel",
        on_delete=models.CASCADE,
        related_name="prices",
        verbose_name=_("model"),
    )
    starts_at = models.DateTimeField(_("holds from"))
    input_price = models.BigIntegerField(_("input price"))
    output_price = models.BigIntegerField(_("output price"))
    cached_price = models.BigIntegerField(_("price of cached input"), null=True, blank=True)

    class Meta:
        verbose_name = _("price from a date")
        verbose_name_plural = _("prices from a date")
        # Whoever may change a model sets its prices.
        default_permissions = ()
        ordering = ["starts_at"]
        constraints = [
            models.UniqueConstraint(fields=["model", "starts_at"], name="one_price_at_a_time"),
            models.CheckConstraint(
                condition=Q(input_price__gte=0)
                & Q(output_price__gte=0)
                & (
                    Q(cached_price__isnull=True)
                    | Q(cached_price__gte=0, cached_price__lte=F("input_price"))
                ),
                name="dated_prices_are_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d}"

    @property
    def price(self) -> Price:
        return Price(self.input_price, self.output_price, self.cached_price)


def price_at(dated: list[list[object]], at: datetime) -> Price | None:
    """The newest of `ChatModel.dated_prices` that holds at a time; None before the first one."""
    for starts_at, *amounts in reversed(dated):
        if datetime.fromisoformat(str(starts_at)) <= at:
            return Price(*amounts)  # type: ignore[arg-type]
    return None
