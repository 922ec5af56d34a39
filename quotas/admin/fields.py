"""Forms that ask whose limit it is, and how much."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.models import ApiKey, Role, User
from common.admin import ServiceForm
from common.errors import Invalid
from quotas.admin.named import is_id
from quotas.models import REASON_CHARACTERS, Kind, Metric, Period
from quotas.periods import midnight
from quotas.services import amounts, subjects
from quotas.services.subjects import Subject

_PREFIX_CHARACTERS = 200
_SUFFIXES = {"k": "000", "m": "000000"}
# A comma anywhere else may be meant as the point of other languages: 12,50 is not 1250, and 0,125
# not 125.
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*|[kKmM])?", re.ASCII)
# The choices of `kind`: what can be chosen by a name.
CHOSEN = (Kind.USER, Kind.GROUP, Kind.KEY, Kind.DEPLOYMENT)


class DayWidget(forms.DateInput):
    """The browser's own calendar: the skin's needs scripts that only pages of rows have."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(INPUT_CLASSES)}, format="%Y-%m-%d")


class PersonSelect(AutocompleteSelect):
    """Django asks the database for whatever came, and of what is no id it dies."""

    def __init__(self) -> None:
        # The names of people are looked up where keys have their owners.
        owner: Any = ApiKey._meta.get_field("user")  # noqa: SLF001 documented
        super().__init__(owner, admin.site)

    def optgroups(self, name: str, value: Sequence[str], attrs: Any = None) -> Any:
        return super().optgroups(name, [each for each in value if is_id(each)], attrs)


class RoleField(forms.ModelChoiceField[Group]):
    def label_from_instance(self, role: Group) -> str:
        return Role.told(role.name)


class AmountField(forms.CharField):
    """A whole number, or money; what it means is known once the metric is."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Amount"))
        kwargs.setdefault(
            "help_text",
            _("Requests or tokens: a whole number; 500k and 2M are understood. Cost: money."),
        )
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}))
        super().__init__(max_length=40, **kwargs)


def amount_in(metric: str, text: str) -> int:
    """What is stored for `text` as people write it: `+500k`, `1,000,000`, `12.50`. Raises
    Invalid."""
    plain = "".join(text.split()).removeprefix("+").replace("_", "")
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    whole, suffix = plain[:-1], plain[-1:].lower()
    if suffix in _SUFFIXES and whole.isdecimal():
        plain = whole + _SUFFIXES[suffix]
    return amounts.amount_in(metric, plain, field="amount")


def metric_field() -> forms.ChoiceField:
    return forms.ChoiceField(
        label=_("Metric"),
        choices=Metric.choices,
        initial=Metric.TOKENS,
        widget=UnfoldAdminSelectWidget,
        help_text=_("What is counted: turns, tokens in and out together, or what they cost."),
    )


def period_field(**kwargs: Any) -> forms.ChoiceField:
    kwargs.setdefault("choices", Period.choices)
    kwargs.setdefault("help_text", _("By the clock of the deployment; a total never begins anew."))
    return forms.ChoiceField(label=_("Period"), widget=UnfoldAdminSelectWidget, **kwargs)


class AmountForm(ServiceForm):
    """Metric, period, amount: the amount is checked by its metric."""

    metric = metric_field()
    period = period_field(initial=Period.DAY)
    amount = AmountField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:  # noqa: SLF001 Django's own name for it
            told = amounts.told(self.instance.metric, self.instance.amount)
            self.initial["amount"] = str(told)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        metric = cleaned.get("metric") or self.instance.metric
        if "amount" in cleaned and metric:
            cleaned["amount"] = self.told(lambda: amount_in(metric, cleaned["amount"]))
        return cleaned

    def _post_clean(self) -> None:
        """The service sets what is stored."""


class SubjectForm(ServiceForm):
    """Whose: chosen by name, never by an id."""

    names: Mapping[str, str] = {"role": "group"}

    kind = forms.ChoiceField(
        label=_("For"),
        choices=[(kind.value, kind.label) for kind in CHOSEN],
        widget=UnfoldAdminSelectWidget,
        help_text=_("A person, all who have a role together, an API key, or everybody together."),
    )
    person = forms.ModelChoiceField(
        User.objects.get_queryset(),
        label=_("Person"),
        required=False,
        widget=PersonSelect,
        help_text=_("Begin to write a name or an e-mail."),
    )
    group = RoleField(
        Group.objects.order_by("name"),
        label=_("Role"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("A limit of a role is a pool that all who have the role share."),
    )
    key = forms.CharField(
        label=_("API key"),
        required=False,
        max_length=_PREFIX_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("How it begins, as the list of API keys shows it."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:  # noqa: SLF001 Django's own name for it
            # Whose it is, it stays.
            for name in ("kind", "person", "group", "key"):
                self.fields.pop(name, None)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "kind" in cleaned:
            cleaned["subject"] = self._subject(cleaned)
        return cleaned

    def _subject(self, cleaned: dict[str, Any]) -> Subject | None:
        kind = cleaned["kind"]
        if kind == Kind.DEPLOYMENT:
            return subjects.DEPLOYMENT
        named = {Kind.USER: "person", Kind.GROUP: "group", Kind.KEY: "key"}[kind]
        chosen = cleaned.get(named)
        if named in self.errors:
            return None
        if not chosen:
            self.add_error(named, _("Say whose it is."))
            return None
        if kind == Kind.KEY:
            return self._key(str(chosen))
        return subjects.person(chosen) if kind == Kind.USER else subjects.role(chosen)

    def _key(self, text: str) -> Subject | None:
        prefix = text.strip().rstrip("….")
        found = list(ApiKey.objects.filter(prefix=prefix, revoked_at=None)[:2])
        if len(found) != 1:
            self.add_error("key", _("Exactly one key has to begin so."))
            return None
        return subjects.api_key(found[0])


def until_field() -> forms.DateField:
    return forms.DateField(
        label=_("Until"),
        required=False,
        widget=DayWidget,
        help_text=_("The last day of it, in the deployment's time zone. Empty: for good."),
    )


def reason_field() -> forms.CharField:
    return forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=REASON_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("For whoever looks it up later."),
    )


def end_of(day: date | None) -> datetime | None:
    """The first moment after it."""
    return None if day is None else midnight(day + timedelta(days=1))


def boosted_period_field() -> forms.ChoiceField:
    return period_field(
        required=False,
        choices=[("", _("Day, month and total")), *Period.choices],
        help_text=_("Which limits it raises; it makes none where there is none."),
    )


def check_day(day: date | None) -> date | None:
    """Raise ValidationError for a day that no calendar of ours has."""
    if day is not None and not settings.DATE_YEARS[0] <= day.year <= settings.DATE_YEARS[1]:
        raise forms.ValidationError(_("Use a date between 2000 and 2100."))
    return day


class GrantForm(forms.Form):
    """`+500k tokens until Friday` for people who are chosen already."""

    amount = AmountField()
    metric = metric_field()
    until = until_field()
    period = boosted_period_field()
    reason = reason_field()

    def clean_until(self) -> date | None:
        return check_day(self.cleaned_data["until"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "amount" in cleaned and "metric" in cleaned:
            try:
                cleaned["amount"] = amount_in(cleaned["metric"], cleaned["amount"])
            except Invalid as error:
                self.add_error("amount", str(error))
        return cleaned
