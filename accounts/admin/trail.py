"""The audit trail in the admin: to look at, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, AuditEntry, Role
from accounts.services import audit
from common.admin import ReadOnlyAdmin
from common.errors import NotFound


class ActionFilter(admin.SimpleListFilter):
    title = _("action")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return list(AuditAction.choices)

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "actor", "what", "target", "address")
    list_filter = (ActionFilter, "created_at")
    search_fields = ("actor_id",)
    search_help_text = _("A user name, an e-mail or an id")
    ordering = ("-id",)
    fields = (
        "created_at",
        "actor",
        "actor_id",
        "what",
        "code",
        "kind",
        "target_id",
        "label",
        "was",
        "became",
        "address",
        "client",
        "request_id",
    )

    help_texts = {
        "created_at": _("When it happened."),
        "actor": _("Who did it; the deployment itself, for commands and jobs."),
        "actor_id": _("Stays when that person is erased."),
        "what": _("What happened."),
        "code": _("The word for it that programs know."),
        "kind": _("To what kind of thing."),
        "target_id": _("Its id."),
        "label": _("What it was called."),
        "was": _("What changed, as it was. Secrets and what people wrote are never here."),
        "became": _("The same, as it became; for a private reading, the reason."),
        "address": _("Where it came from."),
        "client": _("The program it came by."),
        "request_id": _("Finds it in the log."),
    }

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """By index alone: the trail is long."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        try:
            return audit.about(queryset, audit.id_of(wanted)), False
        except NotFound:
            return queryset.none(), False

    @admin.display(description=_("Who"))
    def actor(self, entry: AuditEntry) -> str:
        return entry.who

    @admin.display(description=_("What"))
    def what(self, entry: AuditEntry) -> str:
        return entry.what

    @admin.display(description=_("Code"))
    def code(self, entry: AuditEntry) -> str:
        return entry.action

    @admin.display(description=_("To what"))
    def target(self, entry: AuditEntry) -> str:
        return f"{entry.kind} {entry.label or entry.target_id}".strip()

    @admin.display(description=_("kind"))
    def kind(self, entry: AuditEntry) -> str:
        return entry.kind

    @admin.display(description=_("target"))
    def label(self, entry: AuditEntry) -> str:
        return entry.label

    @admin.display(description=_("before"))
    def was(self, entry: AuditEntry) -> str:
        return _told(entry.before)

    @admin.display(description=_("after"))
    def became(self, entry: AuditEntry) -> str:
        return _told(entry.after)


def _told(fields: dict[str, Any]) -> str:
    """A line for each."""
    return "\n".join(f"{name}: {_value(name, value)}" for name, value in fields.items())


def _value(name: str, value: Any) -> str:
    if name == "roles":
        value = [Role.told(each) for each in value]
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
