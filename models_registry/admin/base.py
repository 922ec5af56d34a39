"""What the two lists share: rows of the deployment, changed by services alone (SECURITY M6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.admin.actors import actor_of
from accounts.models import User
from common.admin import ServiceAdmin
from common.errors import AppError


class ServiceForm(forms.ModelForm[Any]):
    """A form whose last word has the service; `actor` is set for each request."""

    actor: User
    # What services name otherwise than the form does.
    names: Mapping[str, str] = {}

    def told(self, work: Callable[[], Any]) -> Any:
        """What `work` returns; its refusal becomes the form's."""
        try:
            return work()
        except AppError as error:
            for field, texts in (error.errors or {"": [str(error)]}).items():
                named = self.names.get(field, field)
                known = named if named in self.fields else None
                self.add_error(known, [str(text) for text in texts])
        return None


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
