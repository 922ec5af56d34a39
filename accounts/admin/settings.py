"""The page of the deployment's settings: Constance's, through the service that everyone uses."""

from __future__ import annotations

from functools import partial
from typing import Any

from constance.admin import Config, ConstanceAdmin
from constance.forms import ConstanceForm
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin.actors import actor_of
from accounts.models import User
from accounts.services import deployment_settings
from common.errors import Invalid


class SettingsForm(ConstanceForm):  # type: ignore[misc]  # Constance has no types
    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor

    def clean(self) -> dict[str, Any]:
        """Judge what was changed: what stands there already need not fit any more."""
        cleaned: dict[str, Any] = super().clean()
        self.changes = {
            name: cleaned[name]
            for name in settings.CHANGEABLE
            if name in cleaned and cleaned[name] != self.initial[name]
        }
        try:
            deployment_settings.check(self.changes)
        except Invalid as refusal:
            for field, texts in (refusal.errors or {}).items():
                self.add_error(field, [str(text) for text in texts])
        return cleaned

    def save(self) -> list[str]:
        deployment_settings.change(self.changes, actor=self.actor)
        return list(self.changes)


admin.site.unregister([Config])
# Constance calls its pages after itself.
apps.get_app_config("constance").verbose_name = _("Settings")
Config._meta.verbose_name_plural = _("settings")  # noqa: SLF001 documented


@admin.register(Config)
class SettingsAdmin(ConstanceAdmin):  # type: ignore[misc]  # Constance has no types
    def get_changelist_form(self, request: HttpRequest) -> Any:
        return partial(SettingsForm, actor=actor_of(request))
