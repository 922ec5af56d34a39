"""What the two lists share: rows of the deployment, changed by services alone (SECURITY M6)."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.admin.actors import actor_of
from common.admin import ServiceAdmin, ServiceForm

__all__ = ["RegistryAdmin", "ServiceForm"]


class RegistryAdmin(ServiceAdmin):
    """Personal rows are their owners' business and not shown."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).filter(owner=None)
        return rows

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.actor = actor_of(request)  # the class is made anew for every request
        return form
