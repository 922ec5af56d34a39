"""What the admin classes of every app share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import PermissionDenied as Forbidden
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from common.errors import AppError, PermissionDenied

# Those that Django's filters put into their links.
_OPERATORS = frozenset({"exact", "in", "isnull", "isempty", "gte", "lt"})


_HELP = {
    "id": _lazy("What the API and the logs call this row."),
    "created_at": _lazy("When the row was made."),
    "updated_at": _lazy("When the row was last changed."),
}


def _asked_by(offered: Any) -> str:
    """The column, or the parameter, that one entry of `list_filter` asks by."""
    if isinstance(offered, str):
        return offered
    return str(offered[0] if isinstance(offered, tuple) else offered.parameter_name)


class RowsField(forms.ModelMultipleChoiceField[Any]):
    """A choice of rows. Django asks the database for any number that came, and of one that no
    database holds it dies."""

    def clean(self, value: Any) -> QuerySet[Any]:
        rows: Any = self.queryset
        key = rows.model._meta.pk  # noqa: SLF001 documented
        for each in value if isinstance(value, list | tuple) else ():
            try:
                key.run_validators(key.to_python(each))
            except ValidationError as error:
                message = self.error_messages["invalid_pk_value"]
                raise ValidationError(
                    message, code="invalid_pk_value", params={"pk": each}
                ) from error
        chosen: QuerySet[Any] = super().clean(value)
        return chosen


class UncountedAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """An operator's list that never counts or sorts its table: it may hold millions of rows.

    An id typed into the search box is looked up as one, in `id_fields`, by index. `help_texts`
    say what the fields of the page mean, those that are only shown too.
    """

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    sortable_by: list[str] | tuple[str, ...] | None = ()
    id_fields: tuple[str, ...] = ("id",)
    help_texts: Mapping[str, Any] = {}

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs.setdefault("help_texts", {**_HELP, **self.help_texts})
        return super().get_form(request, obj, change=change, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What `list_filter` offers and nothing else.

        Django's own rule lets an address ask any column of the table by any operator: a password's
        hash or a sealed key by its beginning (M2), and everything by regular expressions (R4).
        """
        offered = {_asked_by(each) for each in self.list_filter}
        path, _separator, operator = lookup.rpartition("__")
        if lookup in offered:
            return True
        return operator in _OPERATORS and (path in offered or path.removesuffix("__id") in offered)

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


class _WithoutTransaction(DjangoModelAdmin[Any]):
    """Comes after the skin's own classes, which set the page up and call on."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without the transaction that Django puts around it: the services have their own, and
        hash passwords and resolve names first, which would keep a writer waiting."""
        answer: HttpResponse = self._changeform_view(  # type: ignore[attr-defined]
            request, object_id, form_url, extra_context
        )
        return answer


class ServiceForm(forms.ModelForm[Any]):
    """A form whose last word has the service; `actor` is set for each request."""

    actor: Any
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


class ServiceAdmin(UncountedAdmin, _WithoutTransaction):
    """Rows that services alone change: what these refuse is told in words."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        view = super().changeform_view
        return self._refused(request, lambda: view(request, object_id, form_url, extra_context))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        view = super().delete_view
        return self._refused(request, lambda: view(request, object_id, extra_context))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service stored everything."""

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.for_each(request, queryset, lambda row: self.delete_model(request, row))

    def get_deleted_objects(
        self, objs: Iterable[Model], request: HttpRequest
    ) -> tuple[list[str], dict[Any, int], set[str], list[str]]:
        """The rows alone: what goes with them is for each app to know, and nobody's to allow."""
        names = [str(row) for row in objs]
        return names, {self.opts.verbose_name_plural: len(names)}, set(), []

    def for_each(
        self, request: HttpRequest, rows: Iterable[Any], act: Callable[[Any], object]
    ) -> None:
        """Do it to each; one refusal is told and stops no other."""
        done = 0
        for row in rows:
            try:
                act(row)
            except AppError as error:
                self.message_user(request, f"{row}: {error}", messages.ERROR)
            else:
                done += 1
        if done:
            told = {"count": done, "items": model_ngettext(self.opts, done)}
            self.message_user(request, _("%(count)d %(items)s done.") % told, messages.SUCCESS)

    def _refused(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            return view()
        except PermissionDenied as error:
            raise Forbidden(str(error)) from error
        except AppError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


class ReadOnlyAdmin(UncountedAdmin):
    """Rows that are looked at here and changed by services alone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
