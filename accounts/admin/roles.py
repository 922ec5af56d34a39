"""Roles in the admin: Django's groups, by our word, and what they may do."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import admin as _theirs  # noqa: F401 it registers what is ours below
from django.contrib.auth.models import Group, Permission
from django.db.models import ManyToManyField, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.actors import actor_of
from accounts.models import AuditAction, Role, TargetKind
from accounts.names import fold
from accounts.services import audit
from common.admin import RowsField, UncountedAdmin
from common.db import write_transaction
from common.text import is_line

admin.site.unregister(Group)
# Django's model by our word, in every title and message. No migration sees it.
Group._meta.verbose_name = _("role")  # noqa: SLF001 documented
Group._meta.verbose_name_plural = _("roles")  # noqa: SLF001

# What Django's own permissions allow.
_VERBS = {"add": _("Add"), "change": _("Change"), "delete": _("Delete"), "view": _("View")}


class PermissionsField(RowsField):
    """Django stores the names of permissions in English and shows them so."""

    def label_from_instance(self, permission: Permission) -> str:
        verb = _VERBS.get(permission.codename.partition("_")[0])
        return f"{permission.content_type} | {verb or gettext(permission.name)}"


class RoleForm(forms.ModelForm[Group]):
    def clean_name(self) -> str:
        """A name that is seen, and that nobody takes for another role's."""
        name = str(self.cleaned_data["name"])
        if not is_line(name):
            raise forms.ValidationError(
                _("A name is one line of visible characters, without marks of direction.")
            )
        others = Group.objects.exclude(pk=self.instance.pk).values_list("name", flat=True)
        if fold(name) in {fold(other) for other in others}:
            raise forms.ValidationError(_("There is a role of this name already."))
        return name


@admin.register(Group)
class RoleAdmin(UncountedAdmin):
    """The four roles keep their names; what they may do is up to the operator."""

    form = RoleForm
    list_display = ("name", "told")
    search_fields = ("name",)
    search_help_text = _("Name")
    ordering = ("name",)
    fields = ("name", "permissions")
    filter_horizontal = ("permissions",)
    compressed_fields = False  # two wide boxes side by side
    help_texts = {
        "name": _("What people are given. The four that Parley comes with keep their names."),
        "permissions": _("What whoever has this role may do. Administrators may do everything."),
    }

    @admin.display(description=_("What people read"))
    def told(self, role: Group) -> str:
        return Role.told(role.name)

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ("name",) if obj and obj.name in Role.values else ()

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        seeded = obj is not None and obj.name in Role.values
        return not seeded and bool(super().has_delete_permission(request, obj))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        role: Group = form.instance
        before = _permissions(role)
        super().save_related(request, form, formsets, change)
        audit.record(
            AuditAction.ROLE_CHANGED,
            actor=actor_of(request),
            target=audit.Target(TargetKind.ROLE, role.pk, role.name),
            before={
                "permissions": before,
                "name": form.initial.get("name", role.name) if change else "",
            },
            after={"permissions": _permissions(role), "name": role.name},
        )

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        target = audit.Target(TargetKind.ROLE, obj.pk, obj.name)
        before = {"permissions": _permissions(obj)}
        with write_transaction():
            audit.record(
                AuditAction.ROLE_DELETED, actor=actor_of(request), target=target, before=before
            )
            obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        for role in queryset:
            self.delete_model(request, role)

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any]:
        # Each permission is named by its content type: one query instead of one for each.
        kwargs["queryset"] = Permission.objects.select_related("content_type")
        kwargs["form_class"] = PermissionsField
        field: ModelMultipleChoiceField[Any] = super().formfield_for_manytomany(
            db_field, request, **kwargs
        )
        return field


def _permissions(role: Group) -> list[str]:
    rows = role.permissions.values_list("content_type__app_label", "codename")
    return sorted(f"{app}.{codename}" for app, codename in rows)
