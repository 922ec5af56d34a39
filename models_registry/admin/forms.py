"""The forms behind the admin's pages of models."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.models import Role, User
from accounts.names import EMAIL_CHARACTERS
from accounts.services.people import find
from common.admin import RowsField
from common.errors import NotFound
from common.money import BILLION, as_decimal, billionths
from models_registry.admin.base import ServiceForm
from models_registry.models import ChatModel, Connection, ModelPrice, Price
from models_registry.services import models, prices
from models_registry.services.access import Access
from models_registry.services.prices import PRICE_AT_MOST

_NAMES = {"cached_input_price": "cached_price"}
_PER_MILLION = _("Per 1,000,000 tokens.")
_CACHED = _("Of what the provider has in its cache. Empty: as any other input.")


class PriceField(forms.DecimalField):
    """Money per 1,000,000 tokens in the form, integer billionths in the table."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault(
            "help_text", _("Per 1,000,000 tokens. Empty: as known of this model, else 0.")
        )
        super().__init__(
            min_value=0,
            max_value=PRICE_AT_MOST // BILLION,
            max_digits=16,
            decimal_places=9,
            widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any"}),
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        return as_decimal(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else billionths(amount)


class RolesField(RowsField):
    def label_from_instance(self, role: Group) -> str:
        return Role.told(role.name)


class ModelForm(ServiceForm):
    names = _NAMES
    input_price = PriceField(label=_("Input price"))
    output_price = PriceField(label=_("Output price"))
    cached_price = PriceField(label=_("Price of cached input"), help_text=_CACHED)
    roles = RolesField(
        Group.objects.order_by("name"),
        label=_("Roles"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Whoever has one of these may use it."),
    )
    fallbacks = forms.CharField(
        label=_("Fallbacks"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Names of models, separated by commas, in the order they are tried."),
    )

    class Meta:
        model = ChatModel
        fields = (
            "name",
            "display_name",
            "connection",
            "upstream_name",
            "enabled",
            "context_window",
            "max_output_tokens",
            "everyone",
            "roles",
            "users",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "connection" in self.fields:
            choice: Any = self.fields["connection"]
            choice.queryset = Connection.objects.system()
        if "upstream_name" in self.fields:
            self.fields["upstream_name"].required = False
        ids = self.instance.fallbacks
        names = {str(row.pk): row.name for row in ChatModel.objects.filter(pk__in=ids)}
        # What it costs now, be that the columns or a price from a date.
        if not self.instance._state.adding:  # noqa: SLF001 Django's own name for it
            self.initial |= self.instance.price._asdict()
        self.initial["fallbacks"] = ", ".join(names[each] for each in ids if each in names)

    def clean_fallbacks(self) -> list[str]:
        names = [name.strip() for name in self.cleaned_data["fallbacks"].split(",")]
        wanted = [name for name in names if name]
        self.told(lambda: models.fallback_ids(self.instance, wanted))
        return wanted

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and cleaned["input_price"] is not None:
            self.told(lambda: prices.check(_price(cleaned)))
        return cleaned

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = ChatModel.objects.filter(owner=None, name=name).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(_("A model of this name exists already."))
        return name

    def _post_clean(self) -> None:
        """The service has checked, and sets what is stored."""

    def for_service(self) -> dict[str, Any]:
        """The cleaned fields by the service's names; what was left empty is left out."""
        fields = dict(self.cleaned_data)
        fields["connection_id"] = fields.pop("connection").pk
        fields["access"] = Access(
            everyone=fields.pop("everyone"),
            roles=tuple(group.name for group in fields.pop("roles")),
            users=tuple(user.pk for user in fields.pop("users")),
        )
        fields["upstream_name"] = fields["upstream_name"] or fields["name"]
        for name in ("input_price", "output_price"):
            if fields[name] is None:
                del fields[name]
        if "input_price" not in fields and fields["cached_price"] is None:
            del fields["cached_price"]
        return fields


class DatedPriceForm(ServiceForm):
    """What a model costs from a date on."""

    names = _NAMES
    input_price = PriceField(label=_("Input price"), required=True, help_text=_PER_MILLION)
    output_price = PriceField(label=_("Output price"), required=True, help_text=_PER_MILLION)
    cached_price = PriceField(label=_("Price of cached input"), help_text=_CACHED)

    class Meta:
        model = ModelPrice
        fields = ("starts_at", "input_price", "output_price", "cached_price")
        help_texts = {
            "starts_at": _("Turns that begin from then on are charged so; what was charged stays.")
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            self.told(lambda: prices.check_dated(_price(cleaned), starts_at=cleaned["starts_at"]))
        return cleaned

    @property
    def price(self) -> Price:
        return _price(self.cleaned_data)


def _price(cleaned: dict[str, Any]) -> Price:
    return Price(cleaned["input_price"], cleaned["output_price"] or 0, cleaned["cached_price"])


class RolesForm(forms.Form):
    roles = RolesField(
        Group.objects.order_by("name"),
        label=_("Roles"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("They are added to those that may use it already."),
    )


class PersonForm(forms.Form):
    person = forms.CharField(
        label=_("Person"),
        max_length=EMAIL_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("User name or e-mail."),
    )

    def clean_person(self) -> User:
        try:
            return find(self.cleaned_data["person"].strip())
        except NotFound as error:
            raise forms.ValidationError(str(error)) from error
