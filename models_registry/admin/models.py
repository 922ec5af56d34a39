"""Models in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import action

from accounts.admin.actors import actor_of
from accounts.models import Role, User
from common.admin_asking import answer, ask
from common.db import write_transaction
from common.money import as_decimal
from models_registry.admin.base import RegistryAdmin
from models_registry.admin.forms import DatedPriceForm, ModelForm, PersonForm, RolesForm
from models_registry.models import ChatModel, ModelPrice
from models_registry.models.connection import SYSTEM
from models_registry.services import models, prices
from models_registry.services.access import grant
from models_registry.services.explaining import explain

# Shown in their place to those who only look: Django would show what is stored.
_AS_MONEY = {"input_price": "price_in", "output_price": "price_out", "cached_price": "price_cached"}


class _Priced:
    """Prices as money."""

    @admin.display(description=_("Input price"))
    def price_in(self, row: ChatModel | ModelPrice) -> str:
        return as_decimal(row.price.input_price)

    @admin.display(description=_("Output price"))
    def price_out(self, row: ChatModel | ModelPrice) -> str:
        return as_decimal(row.price.output_price)

    @admin.display(description=_("Price of cached input"))
    def price_cached(self, row: ChatModel | ModelPrice) -> str:
        return as_decimal(row.price.cached_input)


class DatedPrices(_Priced, TabularInline):  # type: ignore[misc]  # unfold ships no types
    """Whoever may change a model sets its prices."""

    model = ModelPrice
    form = DatedPriceForm
    fields: tuple[str, ...] = ("starts_at", "input_price", "output_price", "cached_price")
    ordering = ("starts_at",)
    extra = 0
    hide_title = True
    max_num = prices.PRICES_AT_MOST

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        rights = ("models_registry.view_chatmodel", "models_registry.change_chatmodel")
        return any(request.user.has_perm(each) for each in rights)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("models_registry.change_chatmodel"))

    has_add_permission = has_delete_permission = has_change_permission

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if self.has_change_permission(request, obj):
            return self.fields
        return [_AS_MONEY.get(name, name) for name in self.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if self.has_change_permission(request, obj) else tuple(_AS_MONEY.values())


@admin.register(ChatModel)
class ChatModelAdmin(_Priced, RegistryAdmin):
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
        "price_in": _("Per 1,000,000 tokens."),
        "price_out": _("Per 1,000,000 tokens."),
        "price_cached": _("Per 1,000,000 tokens of what the provider has in its cache."),
        "everyone": _("Everybody who is signed in may use it."),
        "users": _("These people may use it, whatever their roles."),
    }
    actions_detail = ("access",)
    inlines = (DatedPrices,)
    fieldsets = (
        (None, {"fields": ("name", "display_name", "connection", "upstream_name", "enabled")}),
        (_("Limits"), {"fields": ("context_window", "max_output_tokens")}),
        (_("Prices"), {"fields": ("input_price", "output_price", "cached_price")}),
        (_("Access"), {"fields": ("everyone", "roles", "users", "fallbacks")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        return [
            (title, {"fields": [_AS_MONEY.get(str(name), name) for name in options["fields"]]})
            for title, options in self.fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        only_looks = obj is not None and not self.has_change_permission(request, obj)
        return tuple(_AS_MONEY.values()) if only_looks else ()

    def save_model(self, request: HttpRequest, obj: ChatModel, form: Any, change: bool) -> None:
        """Nothing yet: of the model and its prices from a date all is stored, or nothing."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        actor = actor_of(request)
        with write_transaction():
            model = self._save(form, actor=actor, change=change)
            for formset in formsets:
                _save_prices(formset, model, actor=actor)
        form.instance.pk, form.instance.name = model.pk, model.name

    def _save(self, form: Any, *, actor: User, change: bool) -> ChatModel:
        fields = form.for_service()
        if change:
            stored = ChatModel.objects.get(pk=form.instance.pk)
            return models.change_model(stored, actor=actor, changes=fields)
        for name in ("context_window", "max_output_tokens"):
            if fields[name] is None:
                del fields[name]
        return models.create_model(actor, scope=SYSTEM, **fields)

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
        self.for_each(request, queryset, lambda row: grant(row, actor=actor, roles=roles))
        return None

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[ChatModel], *, enabled: bool
    ) -> None:
        actor = actor_of(request)
        self.for_each(
            request, queryset, lambda row: models.set_enabled([row], actor=actor, enabled=enabled)
        )


def _save_prices(formset: Any, model: ChatModel, *, actor: User) -> None:
    formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
    for each in formset.deleted_forms:
        prices.delete_price(_stored(each, model), actor=actor)
    for each in formset.forms:
        if not each.has_changed() or each in formset.deleted_forms:
            continue
        starts_at = each.cleaned_data["starts_at"]
        if each in formset.initial_forms:
            prices.change_price(_stored(each, model), each.price, starts_at=starts_at, actor=actor)
        else:
            prices.set_price(model, each.price, starts_at=starts_at, actor=actor)


def _stored(form: Any, model: ChatModel) -> ModelPrice:
    """The row behind a form, whose cleaning wrote into its instance."""
    row: ModelPrice = model.prices.get(pk=form.instance.pk)
    row.model = model
    return row
