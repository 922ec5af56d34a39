"""What models cost: now, and from a date on. What was charged stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction
from accounts.services import audit
from common.db import write_transaction
from common.errors import Invalid, NotFound
from common.money import BILLION
from models_registry.models import ChatModel, ModelPrice, Price
from models_registry.models.price import price_at
from models_registry.services.permissions import Actor, check_may
from models_registry.services.records import model_target

PRICE_AT_MOST = 1_000_000 * BILLION
PRICES_AT_MOST = 100

_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_LAST = datetime(2100, 12, 31, tzinfo=UTC)


def check(price: Price) -> None:
    """Raise Invalid for a price that nobody means."""
    for name, amount in price._asdict().items():
        if amount is not None and not 0 <= amount <= PRICE_AT_MOST:
            raise Invalid.field(
                name, _("A price is at least 0 and at most %(most)d.") % {"most": 1_000_000}
            )
    if price.cached_input > price.input_price:
        told = _("Cached input costs no more than other input does.")
        raise Invalid.field("cached_input_price", told)


def check_dated(price: Price, *, starts_at: datetime) -> None:
    """The same for one that holds from a time on."""
    check(price)
    if not _FIRST <= starts_at <= _LAST:
        raise Invalid.field("starts_at", _("Use a date between 2000 and 2100."))


def changed(was: Price, changes: Mapping[str, Any]) -> Price:
    """`was` with those of its fields that are among `changes`; raises Invalid.

    With another price of input, cached input has none of its own unless one is given: it was known
    beside the vendor's own price, and might be dearer than new input.
    """
    given = {name: changes[name] for name in Price._fields if name in changes}
    if not given:
        return was
    price = was._replace(**given)
    if price.input_price != was.input_price and "cached_price" not in changes:
        price = price._replace(cached_price=None)
    check(price)
    return price


def holding_at(model: ChatModel, at: datetime) -> Price:
    """What it costs at any time, past or to come."""
    row = model.prices.filter(starts_at__lte=at).order_by("starts_at").last()
    return row.price if row else model.first_price


def charge(model: ChatModel, price: Price, *, actor: Actor) -> set[str]:
    """Let `price` hold from now on, in the transaction that changes the model. The columns of
    `model` that are to be saved for it."""
    if price == model.price:
        return set()
    now = timezone.now()
    if price_at(model.dated_prices, now) is not None:
        set_price(model, price, starts_at=now, actor=actor)
        return set()
    for name, amount in price._asdict().items():
        setattr(model, name, amount)
    return set(Price._fields)


def set_price(model: ChatModel, price: Price, *, starts_at: datetime, actor: Actor) -> ModelPrice:
    """Let `price` hold from a time on, in the place of one from that very time.

    Raises PermissionDenied, NotFound and Invalid.
    """
    check_may(actor, model, "change")
    check_dated(price, starts_at=starts_at)
    with write_transaction():
        _lock(model)
        row = model.prices.filter(starts_at=starts_at).first()
        before = _fields(row) if row else {}
        if row is None and model.prices.count() >= PRICES_AT_MOST:
            raise Invalid.field(
                "starts_at", _("A model has at most %(count)d prices.") % {"count": PRICES_AT_MOST}
            )
        row = row or ModelPrice(model=model, starts_at=starts_at)
        _store(row, price, actor=actor, before=before)
    return row


def change_price(row: ModelPrice, price: Price, *, starts_at: datetime, actor: Actor) -> None:
    """Another amount, or another time. Raises PermissionDenied, NotFound and Invalid."""
    check_may(actor, row.model, "change")
    check_dated(price, starts_at=starts_at)
    with write_transaction():
        _lock(row.model)
        others = row.model.prices.filter(starts_at=starts_at).exclude(pk=row.pk)
        if others.exists():
            raise Invalid.field("starts_at", _("There is another price from that time on."))
        before = _fields(row)
        row.starts_at = starts_at
        _store(row, price, actor=actor, before=before)


def delete_price(row: ModelPrice, *, actor: Actor) -> None:
    """The one before it holds on. Raises PermissionDenied and NotFound."""
    check_may(actor, row.model, "change")
    with write_transaction():
        _lock(row.model)
        _record(row, actor=actor, before=_fields(row), after=dict.fromkeys(_fields(row)))
        row.delete()
        _copy(row.model)


def _lock(model: ChatModel) -> None:
    """Of two changes at once neither is lost from the copy."""
    if not ChatModel.objects.select_for_update().filter(pk=model.pk).exists():
        raise NotFound


def _store(row: ModelPrice, price: Price, *, actor: Actor, before: dict[str, Any]) -> None:
    for name, amount in price._asdict().items():
        setattr(row, name, amount)
    row.save()
    _record(row, actor=actor, before=before, after=_fields(row))
    _copy(row.model)


def _copy(model: ChatModel) -> None:
    """Keep on the model what of its prices holds, and what is to come."""
    rows = list(model.prices.order_by("starts_at"))
    now = timezone.now()
    begun = [row for row in rows if row.starts_at <= now][-1:]
    model.dated_prices = [
        [row.starts_at.astimezone(UTC).isoformat(), *row.price]
        for row in rows
        if row.starts_at > now or row in begun
    ]
    model.save(update_fields=["dated_prices", "updated_at"])


def _fields(row: ModelPrice) -> dict[str, Any]:
    return {"prices_from": row.starts_at.astimezone(UTC).isoformat(), **row.price._asdict()}


def _record(
    row: ModelPrice, *, actor: Actor, before: dict[str, Any], after: dict[str, Any]
) -> None:
    audit.record(
        AuditAction.MODEL_CHANGED,
        actor=actor,
        target=model_target(row.model),
        before=before,
        after=after,
    )
