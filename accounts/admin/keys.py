"""API keys in the admin: to look at, and to revoke. The keys themselves nobody can read."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin.actors import actor_of
from accounts.models import ApiKey
from accounts.services import people
from common.admin import ReadOnlyAdmin, ServiceAdmin


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin, ServiceAdmin):
    fields = (
        "user",
        "name",
        "prefix",
        "scopes",
        "models",
        "addresses",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_display = ("prefix", "name", "user", "last_used_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "name", "prefix")
    search_help_text = _("User name, e-mail, name or beginning of the key")
    ordering = ("-id",)
    actions = ("revoke",)
    help_texts = {
        "user": _("Whose key it is, and in whose name it acts."),
        "name": _("What its owner calls it."),
        "prefix": _("How the key begins. The rest is kept as a digest only."),
        "scopes": _("What it may be used for; nothing where the list is empty."),
        "models": _("The only models that may answer it; any of its owner's where it is empty."),
        "addresses": _("The only addresses it may be used from; any where the list is empty."),
        "last_used_at": _("When it was last used, to the minute."),
        "expires_at": _("From when on it is refused."),
        "revoked_at": _("When it was ended, for good."),
    }

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_user")

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        actor = actor_of(request)
        self.for_each(
            request,
            queryset.select_related("user"),
            lambda key: people.revoke_key(key, actor=actor),
        )
