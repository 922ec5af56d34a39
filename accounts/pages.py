"""The pages behind mailed links: plain forms, no script."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views import View

from accounts.errors import TokenInvalid
from accounts.models import MailLink
from accounts.services import email_addresses, recovery
from common.errors import AppError, MethodNotAllowed
from common.problems import problem_response


class LinkForm(forms.Form):
    """What a mailed link carries."""

    uid = forms.CharField(widget=forms.HiddenInput, max_length=100)
    token = forms.CharField(widget=forms.HiddenInput, max_length=1_000)


class NewPasswordForm(LinkForm):
    password = forms.CharField(
        label=_("New password"),
        strip=False,
        widget=forms.PasswordInput(
            attrs={
                "autocomplete": "new-password",
                "autofocus": True,
                "aria-describedby": "password-hint password-error",
            }
        ),
    )


class LinkPage(View, ABC):
    """GET shows what the link allows and spends nothing; POST does it.

    A mail scanner that follows the link does no harm.
    """

    purpose: ClassVar[MailLink.Purpose]
    template: ClassVar[str]
    form_class: ClassVar[type[LinkForm]] = LinkForm

    def get(self, request: HttpRequest) -> HttpResponse:
        given = {"uid": request.GET.get("uid", ""), "token": request.GET.get("token", "")}
        try:
            link = recovery.find_link(self.purpose, **given)
        except TokenInvalid:
            return self.show(request, 400, dead=True)
        return self.show(request, 200, link=link, form=self.form_class(initial=given))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self.form_class(request.POST)
        try:
            link = recovery.find_link(
                self.purpose,
                uid=request.POST.get("uid", ""),
                token=request.POST.get("token", ""),
            )
            if form.is_valid():
                self.act(**form.cleaned_data)
                return self.show(request, 200, done=True)
        except TokenInvalid:
            return self.show(request, 400, dead=True)
        except AppError as error:
            field = "password" if "password" in form.fields else None
            for text in (error.errors or {}).get("password") or [str(error)]:
                form.add_error(field, str(text))
        return self.show(request, 400, link=link, form=form)

    @abstractmethod
    def act(self, **given: str) -> None:
        """Do what the link allows; raises AppError."""

    def show(self, request: HttpRequest, status: int, **context: Any) -> HttpResponse:
        return render(request, self.template, context, status=status)

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        return problem_response(MethodNotAllowed(), request)


class ResetPasswordPage(LinkPage):
    purpose = MailLink.Purpose.RESET
    template = "accounts/reset_password.html"
    form_class = NewPasswordForm

    def act(self, **given: str) -> None:
        recovery.reset_password(**given)


class ConfirmEmailPage(LinkPage):
    purpose = MailLink.Purpose.CONFIRM_EMAIL
    template = "accounts/confirm_email.html"

    def act(self, **given: str) -> None:
        email_addresses.confirm(**given)
