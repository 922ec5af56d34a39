"""Models in the admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.models import User
from accounts.names import EMAIL_CHARACTERS
from accounts.services.people import find
from common.admin_asking import ask
from common.errors import NotFound
from common.money import BILLION, as_decimal
from models_registry.admin.base import RegistryAdmin, ServiceForm, actor_of
from models_registry.models import ChatModel, Connection
from models_registry.models.connection import SYSTEM
from models_registry.services import models
from models_registry.services.explaining import explain


class PriceField(forms.DecimalField):
    """Money per 1,000,000 tokens in the form, integer billionths in the table."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=0,
            max_digits=16,
            decimal_places=9,
            required=False,
            widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any"}),
            help_text=_("Per 1,000,000 tokens. Empty: as known of this model, else 0."),
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        return as_decimal(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else int(Decimal(amount) * BILLION)


class ModelForm(ServiceForm):
    input_price = PriceField(label=_("Input price"))
    output_price = PriceField(label=_("Output price"))
    roles = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        label=_("Roles"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    fallbacks = forms.CharField(
        label=_("Fallbacks"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Names of models, separated by commas, in the order they are tried."),
    )

    class Meta:
        model = ChatModel
        fields = (
            "name",
            "display_name",
            "connection",
            "upstream_name",
            "enabled",
            "context_window",
            "max_output_tokens",
            "everyone",
            "roles",
            "users",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "connection" in self.fields:
            choice: Any = self.fields["connection"]
            choice.queryset = Connection.objects.system()
        if "upstream_name" in self.fields:
            self.fields["upstream_name"].required = False
        ids = self.instance.fallbacks
        names = {str(row.pk): row.name for row in ChatModel.objects.filter(pk__in=ids)}
        self.initial["fallbacks"] = ", ".join(names[each] for each in ids if each in names)

    def clean_fallbacks(self) -> list[str]:
        names = [name.strip() for name in self.cleaned_data["fallbacks"].split(",")]
        wanted = [name for name in names if name]
        self.told(lambda: models.fallback_ids(self.instance, wanted))
        return wanted

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = ChatModel.objects.filter(owner=None, name=name).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(_("A model of this name exists already."))
        return name

    def _post_clean(self) -> None:
        """The service has checked, and sets what is stored."""

    def for_service(self) -> dict[str, Any]:
        """The cleaned fields by the service's names; what was left empty is left out."""
        fields = dict(self.cleaned_data)
        fields["connection_id"] = fields.pop("connection").pk
        fields["access"] = models.Access(
            everyone=fields.pop("everyone"),
            roles=tuple(group.name for group in fields.pop("roles")),
            users=tuple(user.pk for user in fields.pop("users")),
        )
        fields["upstream_name"] = fields["upstream_name"] or fields["name"]
        for name in ("input_price", "output_price"):
            if fields[name] is None:
                del fields[name]
        return fields


class PersonForm(forms.Form):
    person = forms.CharField(
        label=_("Person"),
        max_length=EMAIL_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("User name or e-mail."),
    )

    def clean_person(self) -> User:
        try:
            return find(self.cleaned_data["person"].strip())
        except NotFound as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(ChatModel)
class ChatModelAdmin(RegistryAdmin):
    form = ModelForm
    list_display = (
        "name",
        "connection",
        "enabled",
        "everyone",
        "context_window",
        "price_in",
        "price_out",
    )
    list_filter = ("enabled", "everyone", "connection__provider")
    list_select_related = ("connection",)
    search_fields = ("name", "display_name", "upstream_name")
    search_help_text = _("Name")
    ordering = ("name",)
    autocomplete_fields = ("connection", "users")
    actions = ("enable", "disable")
    actions_detail = ("access",)
    fieldsets = (
        (None, {"fields": ("name", "display_name", "connection", "upstream_name", "enabled")}),
        (_("Limits"), {"fields": ("context_window", "max_output_tokens")}),
        (_("Prices"), {"fields": ("input_price", "output_price")}),
        (_("Access"), {"fields": ("everyone", "roles", "users", "fallbacks")}),
    )

    @admin.display(description=_("Input price"), ordering="input_price")
    def price_in(self, model: ChatModel) -> str:
        return as_decimal(model.input_price)

    @admin.display(description=_("Output price"), ordering="output_price")
    def price_out(self, model: ChatModel) -> str:
        return as_decimal(model.output_price)

    def save_model(self, request: HttpRequest, obj: ChatModel, form: Any, change: bool) -> None:
        fields = form.for_service()
        if change:
            stored = ChatModel.objects.get(pk=obj.pk)
            models.change_model(stored, actor=actor_of(request), changes=fields)
            return
        if fields["context_window"] is None:
            del fields["context_window"]
        if fields["max_output_tokens"] is None:
            del fields["max_output_tokens"]
        made = models.create_model(actor_of(request), scope=SYSTEM, **fields)
        obj.pk, obj.name = made.pk, made.name

    def delete_model(self, request: HttpRequest, obj: ChatModel) -> None:
        models.delete_model(obj, actor=actor_of(request))

    def has_explain_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        rights = ["models_registry.view_chatmodel", "accounts.view_user"]
        return bool(request.user.has_perms(rights))

    @action(  # type: ignore[untyped-decorator]
        description=_("Who may use it?"), url_path="access", permissions=["explain"]
    )
    def access(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        """For one person: may they use this model, and which rule says so?"""
        model = self.get_object(request, object_id)
        if model is None:
            raise Http404
        form = PersonForm(request.GET if "person" in request.GET else None)
        verdict = None
        if form.is_valid():
            person: User = form.cleaned_data["person"]
            found = explain(model, person)
            title = (
                _("%(person)s can use %(model)s.")
                if found.usable
                else _("%(person)s cannot use %(model)s.")
            )
            verdict = found.as_dict() | {
                "title": title % {"person": person.username, "model": model.name}
            }
        return ask(
            self,
            request,
            form,
            title=_("Who may use %(model)s?") % {"model": model.name},
            submit=_("Explain"),
            back=reverse("admin:models_registry_chatmodel_change", args=[model.pk]),
            method="get",
            verdict=verdict,
        )

    @admin.action(description=_("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ChatModel]) -> None:
        self._switch(request, queryset, enabled=True)

    @admin.action(description=_("Disable"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ChatModel]) -> None:
        self._switch(request, queryset, enabled=False)

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[ChatModel], *, enabled: bool
    ) -> None:
        actor = actor_of(request)
        self.for_each(
            request, queryset, lambda row: models.set_enabled([row], actor=actor, enabled=enabled)
        )
