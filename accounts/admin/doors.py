"""The admin's own sign-in and password page, through the services that everyone uses (M1)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm

from accounts.models import SignIn
from accounts.names import EMAIL_CHARACTERS
from accounts.services import profile, single_user
from accounts.services.callers import Caller
from accounts.sessions import SIGN_IN_KEY
from common.addresses import client_address
from common.errors import AppError

_FIELDS = {"new_password": "new_password1", "old_password": "old_password"}


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # unfold ships no types
    """Django asks our backend, which counts failures; a locked door is told in words."""

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = _("User name or e-mail")
        self.fields["username"].widget.attrs["maxlength"] = EMAIL_CHARACTERS

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
        except AppError as error:
            raise ValidationError(str(error)) from error
        return cleaned


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]
    """The checks are the service's: Django's would ask the hasher without counting."""

    def clean_old_password(self) -> str:
        return str(self.cleaned_data["old_password"])

    def validate_password_for_user(self, *args: Any, **kwargs: Any) -> None:
        return


class OwnPasswordView(PasswordChangeView):
    form_class = OwnPasswordForm

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        request = self.request
        sign_in = SignIn.objects.filter(pk=UUID(request.session[SIGN_IN_KEY])).first()
        try:
            profile.change_password(
                Caller(request.user, sign_in),  # type: ignore[arg-type]
                old=form.cleaned_data["old_password"],
                new=form.cleaned_data["new_password1"],
                address=client_address(request.META),
            )
        except AppError as error:
            for field, texts in (error.errors or {"old_password": [str(error)]}).items():
                for text in texts:
                    form.add_error(_FIELDS[field], str(text))
            return self.form_invalid(form)
        return HttpResponseRedirect(str(self.success_url))


def change_own_password(
    request: HttpRequest, extra_context: dict[str, Any] | None = None
) -> HttpResponse:
    answer: Any = OwnPasswordView.as_view(
        success_url=reverse("admin:password_change_done"),
        extra_context={**admin.site.each_context(request), **(extra_context or {})},
    )(request)
    return answer  # type: ignore[no-any-return]


_sign_in_page = admin.site.login


def sign_in(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Django's page; the owner of a SINGLE_USER deployment is in before it is shown."""
    if request.method == "GET" and not request.user.is_authenticated:
        owner = single_user.owner_at(request.META)
        if owner is not None:
            login(request, owner)
    return _sign_in_page(request, extra_context)


# All are attributes that Django reads from the site when it builds its addresses.
admin.site.login_form = SignInForm
admin.site.password_change = change_own_password  # type: ignore[method-assign, assignment]
admin.site.login = sign_in  # type: ignore[method-assign]
