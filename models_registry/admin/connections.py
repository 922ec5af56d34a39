"""Connections in the admin. The key goes in and never comes out (SECURITY M2)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminPasswordWidget

from accounts.admin.actors import actor_of
from common.admin import ReadOnlyAdmin
from common.errors import AppError
from models_registry.admin.base import RegistryAdmin, ServiceForm
from models_registry.models import Connection, EnvironmentProvider
from models_registry.models.connection import SYSTEM
from models_registry.services import connections
from models_registry.services.connection_tests import ConnectionCheck, check_connection
from models_registry.services.discovery import discover


class ConnectionForm(ServiceForm):
    api_key = forms.CharField(
        label=_("API key"),
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text=_(
            "Write only. Empty keeps the stored key; another provider or address needs it anew."
        ),
    )

    class Meta:
        model = Connection
        fields = ("name", "provider", "base_url", "enabled")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        if self.instance._state.adding:  # noqa: SLF001 Django's own name for it
            draft = self.told(
                lambda: connections.draft_connection(self.actor, scope=SYSTEM, **cleaned)
            )
            self.instance = draft or self.instance
            return cleaned
        if not cleaned["api_key"]:
            del cleaned["api_key"]
        stored = Connection.objects.get(pk=self.instance.pk)
        self.told(lambda: connections.draft_change(stored, actor=self.actor, changes=cleaned))
        return cleaned

    def _post_clean(self) -> None:
        """The service has checked, and sets what is stored."""


@admin.register(Connection)
class ConnectionAdmin(RegistryAdmin):
    form = ConnectionForm
    list_display = ("name", "provider", "base_url", "key", "enabled", "created_at")
    list_filter = ("provider", "enabled")
    search_fields = ("name", "base_url")
    search_help_text = _("Name or address")
    ordering = ("-id",)
    actions = ("test", "add_models", "enable", "disable")
    help_texts = {
        "name": _("What staff call it."),
        "provider": _("Which protocol it speaks."),
        "base_url": _("Where its server is; empty: the vendor's own. Saving does not connect."),
        "enabled": _("Off: none of its models can be used."),
    }
    fieldsets = ((None, {"fields": ("name", "provider", "base_url", "api_key", "enabled")}),)

    @admin.display(description=_("Key"))
    def key(self, connection: Connection) -> str:
        return connection.api_key_hint or ("…" if connection.sealed_api_key else "")

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        if not change:
            connections.insert_connection(obj, actor=actor_of(request))
            return
        stored = Connection.objects.get(pk=obj.pk)
        connections.change_connection(
            stored, actor=actor_of(request), changes=form.cleaned_data, resolve=False
        )

    def delete_model(self, request: HttpRequest, obj: Connection) -> None:
        connections.delete_connection(obj, actor=actor_of(request))

    @admin.action(description=_("Test"), permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        actor = actor_of(request)
        for connection in queryset:
            try:
                outcome = check_connection(connection, actor=actor)
            except AppError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            if self._worked(request, connection, outcome):
                text = ngettext(
                    "%(name)s works: %(count)d model, %(ms)d ms.",
                    "%(name)s works: %(count)d models, %(ms)d ms.",
                    len(outcome.models),
                )
                values = {
                    "name": connection.name,
                    "count": len(outcome.models),
                    "ms": outcome.latency_ms,
                }
                self.message_user(request, text % values, messages.SUCCESS)

    @admin.action(description=_("Add the models that the server lists"), permissions=["change"])
    def add_models(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        actor = actor_of(request)
        for connection in queryset:
            try:
                outcome, added = discover(connection, actor=actor)
            except AppError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            if self._worked(request, connection, outcome):
                text = ngettext("%(count)d model added.", "%(count)d models added.", len(added))
                self.message_user(request, text % {"count": len(added)}, messages.SUCCESS)

    @admin.action(description=_("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        self._switch(request, queryset, enabled=True)

    @admin.action(description=_("Disable"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        self._switch(request, queryset, enabled=False)

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[Connection], *, enabled: bool
    ) -> None:
        actor = actor_of(request)
        self.for_each(
            request,
            queryset,
            lambda row: connections.set_enabled([row], actor=actor, enabled=enabled),
        )

    def _worked(
        self, request: HttpRequest, connection: Connection, outcome: ConnectionCheck
    ) -> bool:
        if not outcome.ok:
            self.message_user(request, f"{connection.name}: {outcome.detail}", messages.ERROR)
        return outcome.ok


@admin.register(EnvironmentProvider)
class EnvironmentProviderAdmin(ReadOnlyAdmin):
    """Deleting a row here lets the next start make its connection again."""

    list_display = ("provider", "connection", "listed_at", "created_at")
    list_select_related = ("connection",)
    ordering = ("provider",)
    help_texts = {
        "provider": _("Named by a variable like OPENAI_API_KEY."),
        "connection": _("The connection that was made of it; empty once that was deleted."),
        "listed_at": _("When its models were read; empty until that worked once."),
    }

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super(ReadOnlyAdmin, self).has_delete_permission(request, obj))
