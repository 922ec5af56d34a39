"""Lists in which ids are shown as the names of whom they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.names import fold
from common.admin import UncountedAdmin
from quotas.models import Kind
from quotas.services.naming import names_of

_NAMES = "_names_of_subjects"
_MOST_PEOPLE = 500


class NamedAdmin(UncountedAdmin):
    """A page of the list asks for all of its names at once: one query for each kind."""

    def subjects(self, row: Any) -> Iterable[tuple[str, str]]:
        """Whom a row names: kind and id, by its columns of these names unless it says otherwise."""
        yield row.kind, row.subject_id

    def prepare(self, rows: list[Any]) -> None:
        """Once for the rows of a page, or for one that is opened."""
        names = names_of({each for row in rows for each in self.subjects(row)})
        for row in rows:
            setattr(row, _NAMES, names)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        shown.result_list = list(shown.result_list)
        self.prepare(shown.result_list)
        return shown

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.prepare([row])
        return row

    @admin.display(description=_("person"))
    def person(self, row: Any) -> str:
        return self.name(row, Kind.USER, str(row.user_id)) if row.user_id else ""

    @admin.display(description=_("API key"))
    def api_key(self, row: Any) -> str:
        return self.name(row, Kind.KEY, str(row.key_id)) if row.key_id else ""

    @admin.display(description=_("roles"))
    def roles(self, row: Any) -> str:
        ids = [each for each in row.group_ids.split(",") if each]
        return ", ".join(sorted(self.name(row, Kind.GROUP, each) for each in ids))

    def name(self, row: Any, kind: str, subject_id: str) -> str:
        names = getattr(row, _NAMES, None)
        if names is None:  # a row that no page prepared: one that was just written
            names = names_of(self.subjects(row))
        return str(names.get((kind, subject_id), subject_id))


class OfSubjects(NamedAdmin):
    """Rows about one subject. They are found by the name of a person, or by an id."""

    id_fields = ("id", "subject_id")
    search_fields: Any = ("subject_id",)
    search_help_text: Any = _("How a user name begins, or an id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By index: people first, then what is theirs."""
        words = search_term.strip()
        if not words or is_id(words):
            return super().get_search_results(request, queryset, words)
        people = User.objects.get_queryset().filter(username_key__startswith=fold(words))
        ids = [str(each) for each in people.values_list("pk", flat=True)[:_MOST_PEOPLE]]
        return queryset.filter(kind=Kind.USER, subject_id__in=ids), False

    @admin.display(description=_("whose"))
    def whose(self, row: Any) -> str:
        return self.name(row, row.kind, row.subject_id)


def is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def charged(row: Any) -> Iterable[tuple[str, str]]:
    """Those whom a row of the ledger, or a hold, names."""
    if row.user_id:
        yield Kind.USER, str(row.user_id)
    if row.key_id:
        yield Kind.KEY, str(row.key_id)
    for each in row.group_ids.split(","):
        if each:
            yield Kind.GROUP, each
