"""A page of the admin that asks for something before it acts, or answers a question."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django import forms
from django.contrib.admin import helpers
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

ANSWERED = "answered"

_ROWS_NAMED = 20
# What the list sends with an action, to be sent again with the answer.
_OF_ACTIONS = ("action", "select_across", "index", helpers.ACTION_CHECKBOX_NAME)


def answer(request: HttpRequest, form: type[forms.Form], **initial: Any) -> forms.Form:
    """The form, filled in if this request answers the page that asked."""
    sent = request.POST if ANSWERED in request.POST else None
    return form(sent, initial=initial)


def ask(
    admin: Any,
    request: HttpRequest,
    form: forms.Form,
    *,
    title: Any,
    submit: Any,
    text: Any = "",
    rows: Any = None,
    back: str = "",
    method: str = "post",
    verdict: dict[str, Any] | None = None,
) -> TemplateResponse:
    """The page with `form`. `rows` are what an action was chosen for: some of them are named."""
    named = list(islice(rows, _ROWS_NAMED + 1)) if rows is not None else []
    kept = [(ANSWERED, "yes")] if method == "post" else []
    if rows is not None:
        kept += [(name, each) for name in _OF_ACTIONS for each in request.POST.getlist(name)]
    there = admin.opts
    context = {
        **admin.admin_site.each_context(request),
        "opts": there,
        "title": title,
        "text": text,
        "form": form,
        "rows": named[:_ROWS_NAMED],
        "more": len(named) > _ROWS_NAMED,
        "submit_text": submit,
        "method": method,
        "kept": kept,
        "verdict": verdict,
        "back": back or reverse(f"admin:{there.app_label}_{there.model_name}_changelist"),
        "media": admin.media + form.media,
    }
    return TemplateResponse(request, "admin/parley/ask.html", context)
