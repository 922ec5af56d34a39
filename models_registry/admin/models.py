"""Models in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from accounts.admin.actors import actor_of
from accounts.models import Role, User
from common.admin_asking import answer, ask
from common.money import as_decimal
from models_registry.admin.base import RegistryAdmin
from models_registry.admin.forms import ModelForm, PersonForm, RolesForm
from models_registry.models import ChatModel
from models_registry.models.connection import SYSTEM
from models_registry.services import models
from models_registry.services.explaining import explain


@admin.register(ChatModel)
class ChatModelAdmin(RegistryAdmin):
    form = ModelForm
    list_display = (
        "name",
        "connection",
        "enabled",
        "opened_to",
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
    actions = ("enable", "disable", "open_to_roles")
    help_texts = {
        "name": _("What people choose it by. One name, one model of the deployment."),
        "display_name": _("What people see; empty: the name."),
        "connection": _("Where it is reached."),
        "upstream_name": _("What the provider is asked for; empty: the name."),
        "enabled": _("Off: nobody can use it."),
        "context_window": _("Tokens that fit in, question and answer together; empty: not known."),
        "max_output_tokens": _("The longest answer in tokens; empty: not known."),
        "everyone": _("Everybody who is signed in may use it."),
        "users": _("These people may use it, whatever their roles."),
    }
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChatModel]:
        named = ChatModel.users.through.objects.filter(chatmodel=OuterRef("pk"))
        rows: QuerySet[ChatModel] = super().get_queryset(request)
        return rows.prefetch_related("roles").annotate(has_people=Exists(named))

    @admin.display(description=_("Open to"))
    def opened_to(self, model: ChatModel) -> str:
        if model.everyone:
            return str(_("everyone"))
        names = [Role.told(role.name) for role in model.roles.all()]
        people = [str(_("people by name"))] if getattr(model, "has_people", False) else []
        return ", ".join(names + people) or str(_("nobody"))

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

    @admin.action(description=_("Open to roles …"), permissions=["change"])
    def open_to_roles(
        self, request: HttpRequest, queryset: QuerySet[ChatModel]
    ) -> TemplateResponse | None:
        form = answer(request, RolesForm)
        if not form.is_valid():
            return ask(
                self,
                request,
                form,
                title=_("Open to roles"),
                text=_("Whoever has one of the roles may use these models. Nobody loses a right:"),
                submit=_("Open"),
                rows=queryset,
            )
        actor = actor_of(request)
        roles = [group.name for group in form.cleaned_data["roles"]]
        self.for_each(request, queryset, lambda row: models.grant(row, actor=actor, roles=roles))
        return None

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[ChatModel], *, enabled: bool
    ) -> None:
        actor = actor_of(request)
        self.for_each(
            request, queryset, lambda row: models.set_enabled([row], actor=actor, enabled=enabled)
        )
