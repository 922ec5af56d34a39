"""What the admin classes of every app share."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class UncountedAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """An operator's list that never counts its table: it may hold millions of rows.

    An id typed into the search box is looked up as one, in `id_fields`, by index.
    """

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    id_fields: tuple[str, ...] = ("id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            rows, doubles = super().get_search_results(request, queryset, search_term)
            return rows, bool(doubles)
        matches = Q()
        for name in self.id_fields:
            matches |= Q(**{name: wanted})
        return queryset.filter(matches), False


class ReadOnlyAdmin(UncountedAdmin):
    """Rows that are looked at here and changed by services alone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
