"""Devices, letters and counts in the admin: to look at, and to end."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin.actors import actor_of
from accounts.models import MailLink, OutgoingMail, SignIn, SignInFailures
from accounts.services import lockout, people
from common.admin import ReadOnlyAdmin, ServiceAdmin


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin, ServiceAdmin):
    fields = (
        "user",
        "client",
        "address",
        "created_at",
        "last_used_at",
        "expires_at",
        "idle_expires_at",
        "revoked_at",
    )
    list_display = ("user", "client", "address", "created_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "client", "address")
    search_help_text = _("User name, e-mail, program or address")
    ordering = ("-id",)
    actions = ("end",)
    help_texts = {
        "user": _("Whose device it is."),
        "client": _("What it said of itself."),
        "address": _("Where it signed in from."),
        "created_at": _("When it signed in."),
        "last_used_at": _("When it was last seen."),
        "expires_at": _("When it has to sign in again, however often it is used."),
        "idle_expires_at": _("When it has to sign in again, unless it is used before."),
        "revoked_at": _("When it was signed out."),
    }

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_user")

    @admin.action(description=_("Sign out"), permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[SignIn]) -> None:
        actor = actor_of(request)
        self.for_each(
            request,
            queryset.select_related("user"),
            lambda sign_in: people.sign_out(sign_in.user, actor=actor, only=sign_in.pk),
        )


@admin.register(OutgoingMail)
class OutgoingMailAdmin(ReadOnlyAdmin):
    fields = ("letter", "address", "created_at", "due_at", "attempts")
    list_display = ("letter", "address", "created_at", "due_at", "attempts")
    list_filter = ("letter",)
    search_fields = ("address",)
    search_help_text = _("E-mail")
    ordering = ("-id",)
    help_texts = {
        "letter": _("What it says. The text itself, with its link, is not kept."),
        "address": _("Where it goes."),
        "due_at": _("When it is tried next."),
        "attempts": _("How often it was tried."),
    }


@admin.register(MailLink)
class MailLinkAdmin(ReadOnlyAdmin):
    fields = ("user", "purpose", "address", "created_at", "expires_at")
    list_display = ("user", "purpose", "created_at", "expires_at")
    list_filter = ("purpose",)
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    search_help_text = _("User name or e-mail")
    ordering = ("-id",)
    help_texts = {
        "user": _("Whom it was sent to. The link itself is kept as a digest only."),
        "purpose": _("What it is good for, once."),
        "address": _("Where it was sent."),
        "expires_at": _("From when on it does nothing."),
    }


@admin.register(SignInFailures)
class SignInFailuresAdmin(ReadOnlyAdmin):
    """Who they are is not told: a subject is a digest. Deleting one opens its door."""

    fields = ("scope", "window_start", "count")
    help_texts = {
        "scope": _("What was counted: an account at an address, an account, or an address."),
        "window_start": _("When counting began."),
        "count": _("Wrong passwords since then. Deleting the row opens this door again."),
    }
    list_display = ("scope", "window_start", "count")
    list_filter = ("scope",)
    ordering = ("-window_start",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(super(ReadOnlyAdmin, self).has_delete_permission(request, obj))

    def delete_model(self, request: HttpRequest, obj: SignInFailures) -> None:
        lockout.forget(obj, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SignInFailures]) -> None:
        for counter in queryset:
            self.delete_model(request, counter)
