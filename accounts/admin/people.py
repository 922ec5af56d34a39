"""People in the admin. Every change goes through a service, with the operator as its actor."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
)

from accounts.admin.actors import actor_of
from accounts.models import Role, User
from accounts.services import email_addresses, passwords, people, profile, registration
from common import admin_asking
from common.admin import ServiceAdmin, ServiceForm
from common.text import is_line


def _roles() -> list[tuple[str, str]]:
    names = Group.objects.order_by("name").values_list("name", flat=True)
    return [(name, Role.told(name)) for name in names]


class RoleFilter(admin.SimpleListFilter):
    title = _("Role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return list(_roles())

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        return queryset.filter(groups__name=self.value()) if self.value() else queryset


class PersonForm(ServiceForm):
    """What an operator may set; the password goes in and never comes out."""

    password = forms.CharField(
        label=_("New password"),
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Write only. Empty keeps the present one; a new one signs every device out."),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", "—"), *settings.LANGUAGES],
        widget=UnfoldAdminSelectWidget,
        help_text=_("In which Parley speaks to them; empty: as their browser asks."),
    )
    roles = forms.MultipleChoiceField(
        label=_("Roles"),
        choices=_roles,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("At least one. You give and take only roles that you hold."),
    )

    class Meta:
        model = User
        fields = ("email", "display_name", "language", "timezone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("roles", people.roles_of(self.instance))
        # The form's cleaning writes into the instance; the services want it as it is stored.
        self.stored = User.objects.get(pk=self.instance.pk)

    def clean_email(self) -> Any:
        email = self.cleaned_data["email"]
        return self.told(lambda: email_addresses.free(email, user=self.stored))

    def clean_display_name(self) -> str:
        name = str(self.cleaned_data["display_name"])
        if name and not is_line(name):
            raise forms.ValidationError(
                _("A name is one line of visible characters, without marks of direction.")
            )
        return name

    def clean_timezone(self) -> str:
        name = str(self.cleaned_data["timezone"])
        if name and name not in profile.known_timezones():
            raise forms.ValidationError(_("Use a name like Europe/Berlin."))
        return name

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        if password:
            self.told(lambda: passwords.check_new(password, user=self.stored))
        return password


class NewPersonForm(PersonForm):
    language = None  # type: ignore[assignment]  # Django's way to take a field away
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 8 characters, not common and not like the name."),
    )

    class Meta:
        model = User
        fields = ("username", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(PersonForm, self).__init__(*args, **kwargs)
        self.initial.setdefault("roles", [Role.MEMBER])

    def clean_email(self) -> Any:
        return str(self.cleaned_data["email"])

    def clean_password(self) -> str:
        return str(self.cleaned_data["password"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            made = self.told(
                lambda: registration.prepare_person(
                    username=cleaned["username"],
                    email=cleaned["email"],
                    password=cleaned["password"],
                )
            )
            self.instance = made or self.instance
        return cleaned

    def _post_clean(self) -> None:
        """The service has made the person already."""


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("Roles"),
        choices=_roles,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("They replace the present ones. You give and take only roles that you hold."),
    )


@admin.register(User)
class UserAdmin(ServiceAdmin):
    form = PersonForm
    list_display = ("username", "email", "display_name", "role_names", "is_active", "created_at")
    list_filter = ("is_active", RoleFilter)
    search_fields = ("username", "email", "display_name")
    search_help_text = _("User name, e-mail or display name")
    ordering = ("-id",)
    actions: tuple[str, ...] = (
        "suspend",
        "activate",
        "change_roles",
        "sign_out",
        "send_reset_link",
    )
    help_texts = {
        "username": _("3 to 64 letters, digits and . _ - of one script. It never changes."),
        "email": _("For signing in and for mail. The old address is told of a change."),
        "display_name": _("How others see them; empty: the user name."),
        "timezone": _("A name like Europe/Berlin."),
        "is_active": _("Suspended people cannot sign in; the list's actions change it."),
        "email_verified_at": _("When they proved that the address is theirs."),
        "pending_email": _("A new address that counts once they confirm it."),
        "last_login": _("When they signed in last."),
        "created_at": _("When the account was made."),
    }
    readonly_fields = (
        "username",
        "is_active",
        "email_verified_at",
        "pending_email",
        "last_login",
        "created_at",
    )
    fieldsets = (
        (None, {"fields": ("username", "email", "display_name", "language", "timezone")}),
        (_("Rights"), {"fields": ("roles", "is_active")}),
        (_("Password"), {"fields": ("password",)}),
        (
            _("History"),
            {"fields": ("email_verified_at", "pending_email", "last_login", "created_at")},
        ),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "password", "roles")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people_: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return people_

    @admin.display(description=_("Roles"))
    def role_names(self, user: User) -> str:
        return ", ".join(map(Role.told, people.roles_of(user)))

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = NewPersonForm
        return super().get_form(request, obj, change=change, **kwargs)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        actor, cleaned = actor_of(request), form.cleaned_data
        if not change:
            people.check_holds(actor, cleaned["roles"])
            registration.insert_person(obj, roles=cleaned["roles"], actor=actor)
            return
        stored: User = form.stored
        people.check_may_manage(actor, stored)
        if set(cleaned["roles"]) != set(people.roles_of(stored)):
            people.set_roles(stored, cleaned["roles"], actor=actor)
        email_addresses.change(stored, cleaned["email"], actor=actor)
        profile.update_profile(
            stored,
            display_name=cleaned["display_name"],
            language=cleaned["language"],
            timezone=cleaned["timezone"],
        )
        if cleaned["password"]:
            profile.store_password(stored, cleaned["password"], actor=actor)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        people.erase(obj, actor=actor_of(request))

    @admin.action(description=_("Suspend"), permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        actor = actor_of(request)
        self.for_each(request, queryset, lambda user: people.suspend(user, actor=actor))

    @admin.action(description=_("Activate"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        actor = actor_of(request)
        self.for_each(request, queryset, lambda user: people.activate(user, actor=actor))

    @admin.action(description=_("Change roles …"), permissions=["change"])
    def change_roles(
        self, request: HttpRequest, queryset: QuerySet[User]
    ) -> TemplateResponse | None:
        form = admin_asking.answer(request, RolesForm)
        if not form.is_valid():
            return admin_asking.ask(
                self,
                request,
                form,
                title=_("Change roles"),
                text=_("These people get exactly the roles that you choose:"),
                submit=_("Change"),
                rows=queryset,
            )
        actor, roles = actor_of(request), form.cleaned_data["roles"]
        self.for_each(request, queryset, lambda user: people.set_roles(user, roles, actor=actor))
        return None

    @admin.action(description=_("Sign out everywhere"), permissions=["change"])
    def sign_out(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        actor = actor_of(request)
        self.for_each(request, queryset, lambda user: people.sign_out(user, actor=actor))

    @admin.action(description=_("Send a link to set a new password"), permissions=["change"])
    def send_reset_link(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        actor = actor_of(request)
        self.for_each(request, queryset, lambda user: people.send_reset_link(user, actor=actor))
