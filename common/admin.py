"""What the admin classes of every app share."""

from __future__ import annotations

from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class UncountedAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """An operator's list that never counts its table: it may hold millions of rows."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50


class ReadOnlyAdmin(UncountedAdmin):
    """Rows that are looked at here and changed by services alone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
