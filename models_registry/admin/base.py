"""What the two lists share: rows of the deployment, changed by services alone (SECURITY M6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import ngettext

from accounts.models import User
from common.admin import UncountedAdmin
from common.errors import AppError, PermissionDenied


class ServiceForm(forms.ModelForm[Any]):
    """A form whose last word has the service; `actor` is set for each request."""

    actor: User

    def told(self, work: Callable[[], Any]) -> Any:
        """What `work` returns; its refusal becomes the form's."""
        try:
            return work()
        except AppError as error:
            for field, texts in (error.errors or {"": [str(error)]}).items():
                known = field if field in self.fields else None
                self.add_error(known, [str(text) for text in texts])
        return None


class ServiceAdmin(UncountedAdmin):
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

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without the transaction that Django puts around it: the services have their own, and
        names are resolved here, which would keep a writer waiting."""
        return self._refused(
            request, lambda: self._changeform_view(request, object_id, form_url, extra_context)
        )

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
            text = ngettext("%(count)d row done.", "%(count)d rows done.", done)
            self.message_user(request, text % {"count": done}, messages.SUCCESS)

    def _refused(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            return view()
        except PermissionDenied as error:
            raise Forbidden(str(error)) from error
        except AppError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


def actor_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 the admin lets nobody else in
    return request.user
