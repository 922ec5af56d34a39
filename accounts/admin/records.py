"""Roles, devices, letters and counts in the admin: to look at, and to end."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import ManyToManyField, Model, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import MailLink, OutgoingMail, Role, SignIn, SignInFailures
from accounts.services import sign_ins
from common.admin import ReadOnlyAdmin, UncountedAdmin

admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(UncountedAdmin):
    """The four roles keep their names; what they may do is up to the operator."""

    list_display = ("name",)
    search_fields = ("name",)
    ordering = ("name",)
    filter_horizontal = ("permissions",)

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ("name",) if obj and obj.name in Role.values else ()

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        seeded = obj is not None and obj.name in Role.values
        return not seeded and bool(super().has_delete_permission(request, obj))

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any]:
        # Each permission is named by its content type: one query instead of one for each.
        kwargs["queryset"] = Permission.objects.select_related("content_type")
        field: ModelMultipleChoiceField[Any] = super().formfield_for_manytomany(
            db_field, request, **kwargs
        )
        return field


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin):
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
    ordering = ("-id",)
    actions = ("end",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_user")

    @admin.action(description=_("Sign out"), permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[SignIn]) -> None:
        for sign_in in queryset:
            sign_ins.revoke(sign_in.user_id, only=sign_in.pk)


@admin.register(OutgoingMail)
class OutgoingMailAdmin(ReadOnlyAdmin):
    fields = ("letter", "address", "created_at", "due_at", "attempts")
    list_display = ("letter", "address", "created_at", "due_at", "attempts")
    list_filter = ("letter",)
    search_fields = ("address",)
    ordering = ("-id",)


@admin.register(MailLink)
class MailLinkAdmin(ReadOnlyAdmin):
    fields = ("user", "purpose", "address", "created_at", "expires_at")
    list_display = ("user", "purpose", "created_at", "expires_at")
    list_filter = ("purpose",)
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    ordering = ("-id",)


@admin.register(SignInFailures)
class SignInFailuresAdmin(ReadOnlyAdmin):
    """Who they are is not told: a subject is a digest. Deleting one opens its door."""

    fields = ("scope", "window_start", "count")
    list_display = ("scope", "window_start", "count")
    list_filter = ("scope",)
    ordering = ("-window_start",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(super(ReadOnlyAdmin, self).has_delete_permission(request, obj))
