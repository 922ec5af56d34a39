"""Limits of one's own and what is granted on top, in the admin."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin.actors import actor_of
from accounts.models import ApiKey, User
from common.admin import ServiceAdmin
from quotas.admin.fields import (
    AmountForm,
    SubjectForm,
    boosted_period_field,
    check_day,
    end_of,
    reason_field,
    until_field,
)
from quotas.admin.named import OfSubjects
from quotas.admin.words import NowFilter, shown
from quotas.models import Boost, Kind, SubjectLimit
from quotas.services import granting, subjects
from quotas.services.subjects import Subject

_CONDITIONS = {
    "person": "kind == 'user'",
    "group": "kind == 'group'",
    "key": "kind == 'key'",
}


class LimitForm(SubjectForm, AmountForm):
    class Meta:
        model = SubjectLimit
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:  # noqa: SLF001 Django's own name for it
            # What a limit is of, it stays.
            for name in ("metric", "period"):
                self.fields.pop(name, None)


@admin.register(SubjectLimit)
class SubjectLimitAdmin(OfSubjects, ServiceAdmin):
    form = LimitForm
    list_display = ("whose", "kind", "metric", "period", "allowed")
    list_filter = ("kind", "metric", "period")
    ordering = ("-id",)
    conditional_fields = _CONDITIONS
    help_texts = {
        "whose": _("Whose limit it is."),
        "metric": _("What is counted: turns, tokens in and out together, or what they cost."),
        "period": _("By the clock of the deployment; a total never begins anew."),
        "allowed": _("How much may be used in that time."),
    }

    def get_fields(self, request: HttpRequest, obj: SubjectLimit | None = None) -> Any:
        if obj is None:
            return ("kind", "person", "group", "key", "metric", "period", "amount")
        amount = "amount" if self.has_change_permission(request, obj) else "allowed"
        return ("whose", "metric", "period", amount)

    def get_readonly_fields(self, request: HttpRequest, obj: SubjectLimit | None = None) -> Any:
        return ("whose", "metric", "period", "allowed") if obj else ()

    @admin.display(description=_("amount"))
    def allowed(self, limit: SubjectLimit) -> str:
        return shown(limit.metric, limit.amount)

    def save_model(self, request: HttpRequest, obj: SubjectLimit, form: Any, change: bool) -> None:
        cleaned = form.cleaned_data
        if change:
            obj.refresh_from_db()
            subject, metric, period = _subject(obj), obj.metric, obj.period
        else:
            subject, metric, period = cleaned["subject"], cleaned["metric"], cleaned["period"]
        actor = actor_of(request)
        granting.set_limit(subject, metric, period, cleaned["amount"], actor=actor)
        _become(obj, SubjectLimit.objects.get(**subject.named, metric=metric, period=period))

    def delete_model(self, request: HttpRequest, obj: SubjectLimit) -> None:
        actor = actor_of(request)
        granting.set_limit(_subject(obj), obj.metric, obj.period, None, actor=actor)


class BoostForm(SubjectForm, AmountForm):
    """`+500k tokens until Friday`."""

    period = boosted_period_field()
    until = until_field()
    reason = reason_field()

    class Meta:
        model = Boost
        fields = ()

    def clean_until(self) -> date | None:
        return check_day(self.cleaned_data["until"])


@admin.register(Boost)
class BoostAdmin(OfSubjects, ServiceAdmin):
    """Granted and taken back; to change one, take it back and grant another."""

    form = BoostForm
    list_display = ("whose", "kind", "granted", "metric", "raises", "ends_at", "why")
    list_filter = (NowFilter, "kind", "metric")
    ordering = ("-id",)
    conditional_fields = _CONDITIONS
    help_texts = {
        "whose": _("Whom or what it was granted to."),
        "granted": _("What may be used on top of the limits."),
        "metric": _("What is counted: turns, tokens in and out together, or what they cost."),
        "raises": _("Which limits it raises."),
        "starts_at": _("When it was granted."),
        "ends_at": _("From when on it no longer counts; empty: for good."),
        "why": _("For whoever looks it up later."),
    }

    def get_fields(self, request: HttpRequest, obj: Boost | None = None) -> Any:
        if obj is None:
            chosen = ("kind", "person", "group", "key")
            return (*chosen, "amount", "metric", "until", "period", "reason")
        return ("whose", "granted", "metric", "raises", "starts_at", "ends_at", "why")

    def has_change_permission(self, request: HttpRequest, obj: Boost | None = None) -> bool:
        return False

    @admin.display(description=_("amount"))
    def granted(self, boost: Boost) -> str:
        return f"+{shown(boost.metric, boost.amount)}"

    @admin.display(description=_("period"))
    def raises(self, boost: Boost) -> str:
        return str(boost.get_period_display() or _("Day, month and total"))

    @admin.display(description=_("reason"))
    def why(self, boost: Boost) -> str:
        return str(_("Reset")) if boost.reason == granting.RESET else boost.reason

    def save_model(self, request: HttpRequest, obj: Boost, form: Any, change: bool) -> None:
        cleaned = form.cleaned_data
        made = granting.grant(
            cleaned["subject"],
            cleaned["metric"],
            cleaned["amount"],
            period=cleaned["period"],
            until=end_of(cleaned["until"]),
            reason=cleaned["reason"],
            actor=actor_of(request),
        )
        _become(obj, made)

    def delete_model(self, request: HttpRequest, obj: Boost) -> None:
        granting.take_back(obj, _subject(obj), actor=actor_of(request))


def _become(row: Model, stored: Model) -> None:
    """What Django goes on with is the row that the service wrote."""
    for field in stored._meta.concrete_fields:  # noqa: SLF001 documented
        setattr(row, field.attname, getattr(stored, field.attname))


def _subject(row: SubjectLimit | Boost) -> Subject:
    """As the audit trail calls it; of one that is gone the id is left."""
    kind = Kind(row.kind)
    if kind == Kind.USER and (
        user := User.objects.get_queryset().filter(pk=row.subject_id).first()
    ):
        return subjects.person(user)
    if kind == Kind.GROUP and (group := Group.objects.filter(pk=row.subject_id).first()):
        return subjects.role(group)
    if kind == Kind.KEY and (key := ApiKey.objects.filter(pk=row.subject_id).first()):
        return subjects.api_key(key)
    return Subject(kind, row.subject_id)
