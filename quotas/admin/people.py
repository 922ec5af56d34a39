"""What the list of people offers beside what accounts does: plans, grants, fresh starts."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin.actors import actor_of
from accounts.admin.people import UserAdmin
from accounts.models import User
from common import admin_asking
from quotas.admin.fields import GrantForm, end_of
from quotas.models import Period, Plan
from quotas.services import granting, plans, subjects

admin.site.unregister(User)


class PlanForm(forms.Form):
    plan = forms.ModelChoiceField(
        Plan.objects.order_by("name"),
        label=_("Plan"),
        required=False,
        empty_label=_("None of their own: by their roles, else the default one"),
        widget=UnfoldAdminSelectWidget,
        help_text=_("It goes before the plans of their roles, and before the default one."),
    )


@admin.register(User)
class PayingUserAdmin(UserAdmin):
    actions = (*UserAdmin.actions, "assign_plan", "grant", "reset_today")

    def has_assign_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("quotas.change_planassignment"))

    def has_grant_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("quotas.add_boost"))

    @admin.action(description=_("Assign plan …"), permissions=["assign"])
    def assign_plan(
        self, request: HttpRequest, queryset: QuerySet[User]
    ) -> TemplateResponse | None:
        form = admin_asking.answer(request, PlanForm)
        if not form.is_valid():
            return admin_asking.ask(
                self,
                request,
                form,
                title=_("Assign plan"),
                text=_("These people get the plan that you choose:"),
                submit=_("Assign"),
                rows=queryset,
            )
        actor, plan = actor_of(request), form.cleaned_data["plan"]
        self.for_each(
            request, queryset, lambda user: plans.assign_to_person(user, plan, actor=actor)
        )
        return None

    @admin.action(description=_("Grant …"), permissions=["grant"])
    def grant(self, request: HttpRequest, queryset: QuerySet[User]) -> TemplateResponse | None:
        form = admin_asking.answer(request, GrantForm)
        if not form.is_valid():
            return admin_asking.ask(
                self,
                request,
                form,
                title=_("Grant more"),
                text=_("Each of these people may use so much more:"),
                submit=_("Grant"),
                rows=queryset,
            )
        actor, given = actor_of(request), form.cleaned_data
        self.for_each(
            request,
            queryset,
            lambda user: granting.grant(
                subjects.person(user),
                given["metric"],
                given["amount"],
                period=given["period"],
                until=end_of(given["until"]),
                reason=given["reason"],
                actor=actor,
            ),
        )
        return None

    @admin.action(description=_("Reset today's use"), permissions=["grant"])
    def reset_today(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        actor = actor_of(request)
        self.for_each(
            request,
            queryset,
            lambda user: granting.reset(subjects.person(user), period=Period.DAY, actor=actor),
        )
