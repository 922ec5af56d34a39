"""Plans, and who has them, in the admin. Every change goes through a service."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from accounts.admin.actors import actor_of
from accounts.models import User
from common.admin import ServiceAdmin, ServiceForm
from common.errors import Invalid, NotFound
from quotas.admin.fields import AmountForm, SubjectForm
from quotas.admin.named import OfSubjects
from quotas.admin.words import shown
from quotas.models import Kind, Metric, Period, Plan, PlanAssignment, PlanLimit
from quotas.services import plans
from quotas.services.amounts import Allowance

# Assignments that a page of the list counts at most: an exact number costs the whole table.
_COUNTED = 5_000


class PlanForm(ServiceForm):
    class Meta:
        model = Plan
        fields = ("name", "is_default")

    def clean_is_default(self) -> bool:
        wanted = bool(self.cleaned_data["is_default"])
        if self.initial.get("is_default") and not wanted:
            raise forms.ValidationError(
                _("One plan is the default. Make another one the default instead.")
            )
        return wanted

    def clean_name(self) -> str:
        try:
            return plans.check_name(self.cleaned_data["name"], besides=self.instance)
        except Invalid as exc:
            raise forms.ValidationError(str(exc)) from exc

    def _post_clean(self) -> None:
        """The service sets what is stored."""


class PlanLimitForm(AmountForm):
    class Meta:
        model = PlanLimit
        fields = ("metric", "period", "amount")


class PlanLimitFormSet(forms.BaseInlineFormSet[Any, Any, Any]):
    def clean(self) -> None:
        """No limit stands there twice."""
        super().clean()
        seen = set()
        for form in self.forms:
            cleaned = getattr(form, "cleaned_data", None)
            if not cleaned or cleaned.get("DELETE") or not cleaned.get("metric"):
                continue
            named = (cleaned["metric"], cleaned.get("period"))
            if named in seen:
                form.add_error("period", _("This limit is there twice."))
            seen.add(named)

    def validate_unique(self) -> None:
        """Told above, in words."""


class PlanLimits(TabularInline):  # type: ignore[misc]  # unfold ships no types
    """Whoever may change plans sets their limits."""

    model = PlanLimit
    form = PlanLimitForm
    formset = PlanLimitFormSet
    fields: tuple[str, ...] = ("metric", "period", "amount")
    extra = 0
    max_num = len(Metric) * len(Period)
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return any(request.user.has_perm(f"quotas.{each}_plan") for each in ("view", "change"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        wanted = "quotas.change_plan" if obj else "quotas.add_plan"
        return bool(request.user.has_perm(wanted))

    has_add_permission = has_delete_permission = has_change_permission

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if self.has_change_permission(request, obj):
            return self.fields
        return ("metric", "period", "allowed")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if self.has_change_permission(request, obj) else ("allowed",)

    @admin.display(description=_("amount"))
    def allowed(self, limit: PlanLimit) -> str:
        return shown(limit.metric, limit.amount)


@admin.register(Plan)
class PlanAdmin(ServiceAdmin):
    form = PlanForm
    inlines = (PlanLimits,)
    list_display = ("name", "is_default", "limits", "people", "roles")
    list_filter = ("is_default",)
    search_fields = ("name",)
    search_help_text = _("Name")
    ordering = ("name",)
    fields = ("name", "is_default")
    help_texts = {
        "name": _("What staff and people call it."),
        "is_default": _("Whoever has no plan, by themselves or by a role, has this one."),
    }

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        found.result_list = list(found.result_list.prefetch_related("limits"))
        rows = PlanAssignment.objects.filter(plan__in=found.result_list)
        counted = list(rows.order_by().values_list("plan_id", "kind")[: _COUNTED + 1])
        counts, more = Counter(counted), "+" if len(counted) > _COUNTED else ""
        for plan in found.result_list:
            plan.counts = {
                kind: f"{counts[plan.pk, kind]}{more}" for kind in (Kind.USER, Kind.GROUP)
            }
        return found

    @admin.display(description=_("limits for each"))
    def limits(self, plan: Plan) -> str:
        told = [
            f"{shown(each.metric, each.amount)} {each.get_metric_display()} / "
            f"{each.get_period_display()}"
            for each in plan.limits.all()
        ]
        return ", ".join(told) or str(_("no limits"))

    @admin.display(description=_("people who have it by name"))
    def people(self, plan: Any) -> str:
        return str(plan.counts[Kind.USER])

    @admin.display(description=_("roles that have it"))
    def roles(self, plan: Any) -> str:
        return str(plan.counts[Kind.GROUP])

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        """Stored together with its limits, below; here it only gets the name that is told."""
        obj.name = form.cleaned_data["name"]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        limits = None
        for formset in formsets:
            formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
            limits = [
                Allowance(*(each.cleaned_data[name] for name in ("metric", "period", "amount")))
                for each in formset.forms
                if each.cleaned_data.get("metric")
                and not each.cleaned_data.get("DELETE")
                and (each.has_changed() or not each.empty_permitted)
            ]
        wanted = {"name": form.cleaned_data["name"], "is_default": form.cleaned_data["is_default"]}
        actor = actor_of(request)
        if change:
            stored = Plan.objects.get(pk=form.instance.pk)
            plans.change(stored, actor=actor, limits=limits, **wanted)
            return
        made = plans.create(actor=actor, limits=limits or (), **wanted)
        form.instance.pk = made.pk

    def delete_model(self, request: HttpRequest, obj: Plan) -> None:
        plans.delete(obj, actor=actor_of(request))


class AssignmentForm(SubjectForm):
    class Meta:
        model = PlanAssignment
        fields = ("plan",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            kinds = (Kind.USER, Kind.GROUP)
            kind: Any = self.fields["kind"]
            kind.choices = [(each.value, each.label) for each in kinds]
            kind.help_text = _("A person, or each person who has a role.")
            self.fields["group"].help_text = _(
                "Each person who has it has the plan for themselves, unless they have another."
            )

    def _post_clean(self) -> None:
        """The service sets what is stored."""


@admin.register(PlanAssignment)
class PlanAssignmentAdmin(OfSubjects, ServiceAdmin):
    form = AssignmentForm
    list_display = ("whose", "kind", "plan", "created_at")
    list_filter = ("kind", "plan")
    list_select_related = ("plan",)
    ordering = ("-id",)
    conditional_fields = {"person": "kind == 'user'", "group": "kind == 'group'"}
    help_texts = {
        "whose": _("Whose plan it is."),
        "plan": _("It goes before the plans of their roles, and before the default one."),
    }

    def get_fields(self, request: HttpRequest, obj: PlanAssignment | None = None) -> Any:
        return ("whose", "plan") if obj else ("kind", "person", "group", "plan")

    def get_readonly_fields(self, request: HttpRequest, obj: PlanAssignment | None = None) -> Any:
        return ("whose",) if obj else ()

    def save_model(
        self, request: HttpRequest, obj: PlanAssignment, form: Any, change: bool
    ) -> None:
        plan, actor = form.cleaned_data["plan"], actor_of(request)
        if change:
            obj = PlanAssignment.objects.get(pk=obj.pk)
            _assign(obj, plan, actor=actor)
            return
        subject = form.cleaned_data["subject"]
        row = PlanAssignment(**subject.named)
        _assign(row, plan, actor=actor)
        obj.pk = PlanAssignment.objects.get(**subject.named).pk
        obj.kind, obj.subject_id, obj.plan = row.kind, row.subject_id, plan

    def delete_model(self, request: HttpRequest, obj: PlanAssignment) -> None:
        _assign(obj, None, actor=actor_of(request))


def _assign(row: PlanAssignment, plan: Plan | None, *, actor: Any) -> None:
    if row.kind == Kind.USER:
        user = User.objects.get_queryset().filter(pk=row.subject_id).first()
        if user is None:
            raise NotFound
        plans.assign_to_person(user, plan, actor=actor)
        return
    group = Group.objects.filter(pk=row.subject_id).first()
    if group is None:
        raise NotFound
    plans.assign_to_role(group.name, plan, actor=actor)
