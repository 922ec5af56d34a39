"""The usage report: who or what used how much, from one day to another, as a page or as CSV."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from common.csv_files import as_csv
from quotas.admin.fields import DayWidget, check_day
from quotas.models import Kind
from quotas.services import usage
from quotas.services.naming import names_of

_BACK_DAYS = 30
# More are in the file.
_ROWS_SHOWN = 500
_GROUPS = {
    "user": _("Person"),
    "model": _("Model"),
    "key": _("API key"),
    "day": _("Day"),
}
_SUMS = ("requests", "prompt_tokens", "completion_tokens", "total_tokens")
_COLUMNS = (
    _("Requests"),
    _("Tokens in"),
    _("Tokens out"),
    _("Tokens in all"),
    _("Cost"),
)


class ReportForm(forms.Form):
    by = forms.ChoiceField(
        label=_("By"),
        choices=list(_GROUPS.items()),
        widget=UnfoldAdminSelectWidget,
    )
    start = forms.DateField(label=_("From"), widget=DayWidget)
    to = forms.DateField(label=_("To, inclusive"), widget=DayWidget)

    def clean_start(self) -> date | None:
        return check_day(self.cleaned_data["start"])

    def clean_to(self) -> date | None:
        return check_day(self.cleaned_data["to"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        start, to = cleaned.get("start"), cleaned.get("to")
        if start and to and not 0 <= (to - start).days < settings.DATE_RANGE_DAYS:
            raise forms.ValidationError(
                _("Choose at most %(days)d days.") % {"days": settings.DATE_RANGE_DAYS}
            )
        return cleaned


class UsageReport:
    """A page beside the list of the ledger."""

    admin_site: Any
    opts: Any
    media: Any

    def usage_report(self, request: HttpRequest, *, back: str) -> HttpResponse:
        to = usage.today()
        initial = {"by": "user", "start": to - timedelta(days=_BACK_DAYS - 1), "to": to}
        asked = {name: request.GET.get(name, value) for name, value in initial.items()}
        form = ReportForm(asked)
        rows: list[dict[str, Any]] = []
        by = "user"
        if form.is_valid():
            by = form.cleaned_data["by"]
            rows = _named(by, usage.report(by, form.cleaned_data["start"], form.cleaned_data["to"]))
            if request.GET.get("format") == "csv":
                return _file(by, rows, form.cleaned_data)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Usage report"),
            "form": form,
            "group": _GROUPS[by],
            "columns": _COLUMNS,
            "rows": [_shown(row) for row in rows[:_ROWS_SHOWN]],
            "total": _shown({"name": "", **_total(rows)}),
            "count": len(rows),
            "is_cut": len(rows) > _ROWS_SHOWN,
            "file": "?" + urlencode({**asked, "format": "csv"}),
            "back": back,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/parley/usage.html", context)


def _named(by: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what people call each of them as `name`."""
    if by in {"user", "key"}:
        kind = {"user": Kind.USER, "key": Kind.KEY}[by]
        names = names_of((kind, str(row[by])) for row in rows if row[by])
        nobody = _("Parley itself") if by == "user" else _("without a key")
        for row in rows:
            row["name"] = names[kind, str(row[by])] if row[by] else str(nobody)
    else:
        for row in rows:
            row["name"] = str(row[by])
    return rows


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sums: dict[str, Any] = {name: sum(row[name] for row in rows) for name in _SUMS}
    return sums | {"cost": sum((Decimal(row["cost"]) for row in rows), Decimal(0))}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    cells = [f"{row[name]:,}" for name in _SUMS]
    return {"name": row["name"], "cells": [*cells, f"{Decimal(row['cost']):,.6f}"]}


def _file(by: str, rows: list[dict[str, Any]], asked: dict[str, Any]) -> HttpResponse:
    """As the interface names its fields; ids and names both."""
    names = [by] if by in {"day", "model"} else [by, "name"]
    content = as_csv(rows, [*names, *_SUMS, "cost"])
    name = f"usage-by-{by}-{asked['start']}-{asked['to']}.csv"
    # Excel takes a file without this mark for one of another alphabet.
    answer = HttpResponse("\ufeff" + content, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    return answer
