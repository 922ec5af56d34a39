"""Plans: made, changed, deleted, and given to people and roles. Exactly one is the default."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import AuditAction, TargetKind, User
from accounts.services import audit, people
from accounts.services.audit import Target
from common.db import write_transaction
from common.errors import Conflict, Invalid, NotFound
from common.text import excerpt, is_line
from quotas.models import Kind, Plan, PlanAssignment, PlanLimit
from quotas.services import amounts, subjects
from quotas.services.amounts import Allowance
from quotas.services.subjects import Subject, check_may

# What having no plan is called, where one says which plan somebody has.
NO_PLAN = "none"


def find(name: str) -> Plan:
    """By its name; raises NotFound."""
    plan = Plan.objects.filter(name=name).first()
    if plan is None:
        raise NotFound(_("There is no plan called %(name)s.") % {"name": excerpt(name)})
    return plan


def check_name(name: str, *, besides: Plan | None = None) -> str:
    """As it is stored; raises Invalid for what is no name, or that of another plan."""
    name = name.strip()
    if not name or not is_line(name) or len(name) > settings.NAME_CHARACTERS or name == NO_PLAN:
        raise Invalid.field(
            "name",
            _("Use one line of up to %(count)d visible characters, other than the word %(word)s.")
            % {"count": settings.NAME_CHARACTERS, "word": NO_PLAN},
        )
    others = Plan.objects.filter(name=name)
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    if others.exists():
        raise Invalid.field("name", _("A plan of this name exists already."))
    return name


def allowances(plan: Plan) -> list[Allowance]:
    """Its limits, always in the same order; reads no more where they were prefetched."""
    return amounts.check(Allowance(row.metric, row.period, row.amount) for row in plan.limits.all())


def create(
    *,
    actor: User | None,
    name: str,
    is_default: bool = False,
    limits: Iterable[Allowance] = (),
) -> Plan:
    """A new plan; as the default it takes the place of the one that was. The first one is the
    default anyway. Raises PermissionDenied, Invalid."""
    check_may(actor, "add_plan")
    wanted = amounts.check(limits)
    with write_transaction():
        # Locked first: of two new defaults at once the second takes the first one's place.
        is_default = not _locked() or is_default
        name = check_name(name)
        if is_default:
            _no_default()
        plan = Plan.objects.create(name=name, is_default=is_default)
        _put_limits(plan, wanted)
        audit.record(
            AuditAction.PLAN_CREATED, actor=actor, target=_target(plan), after=_fields(plan)
        )
    return plan


def change(
    plan: Plan,
    *,
    actor: User | None,
    name: str | None = None,
    is_default: bool | None = None,
    limits: Iterable[Allowance] | None = None,
) -> Plan:
    """What is None stays; the limits are replaced as a whole, for everybody who has the plan.

    Raises PermissionDenied, Invalid, NotFound, and Conflict where no plan would be the default.
    """
    check_may(actor, "change_plan")
    wanted = None if limits is None else amounts.check(limits)
    with write_transaction():
        plan = _held(plan)
        before = _fields(plan)
        if plan.is_default and is_default is False:
            raise Conflict(_("One plan is the default. Make another one the default instead."))
        if is_default and not plan.is_default:
            _no_default()
            plan.is_default = True
        if name is not None:
            plan.name = check_name(name, besides=plan)
        plan.save(update_fields=["name", "is_default"])
        if wanted is not None:
            plan.limits.all().delete()
            _put_limits(plan, wanted)
        audit.record(
            AuditAction.PLAN_CHANGED,
            actor=actor,
            target=_target(plan),
            before=before,
            after=_fields(plan),
        )
    return plan


def delete(plan: Plan, *, actor: User | None) -> None:
    """Whoever had it has what they would have without it: their roles' plans, else the default.

    Raises PermissionDenied, NotFound, and Conflict for the default one.
    """
    check_may(actor, "delete_plan")
    with write_transaction():
        plan = _held(plan)
        if plan.is_default:
            raise Conflict(_("The default plan stays. Make another one the default first."))
        before = _fields(plan) | {"assigned": plan.assignments.count()}
        audit.record(AuditAction.PLAN_DELETED, actor=actor, target=_target(plan), before=before)
        plan.delete()


def assign_to_person(user: User, plan: Plan | None, *, actor: User | None) -> None:
    """Their own plan from now on; None is back to their roles' plans, else the default.

    Raises PermissionDenied for those who may not change plans of people, or people of this rank;
    NotFound.
    """
    check_may(actor, "change_planassignment")
    with write_transaction():
        user = people.held(user, actor=actor)
        _assign(subjects.person(user), plan, actor=actor)


def assign_to_role(name: str, plan: Plan | None, *, actor: User | None) -> None:
    """The plan of each person with that role who has none of their own. Raises PermissionDenied,
    Invalid (no such role), NotFound."""
    check_may(actor, "change_planassignment")
    group = subjects.group_named(name)
    people.check_holds(actor, [group.name])
    with write_transaction():
        _assign(subjects.role(group), plan, actor=actor)


def change_person(user: User, *, actor: User | None, **changes: Any) -> User:
    """`people.change`, and, where `plan` is among the changes, the plan of that name; all of it or
    nothing. Raises as these do, and Invalid where there is no such plan."""
    with write_transaction():
        others = {name: value for name, value in changes.items() if name != "plan"}
        user = people.change(user, actor=actor, **others)
        if "plan" in changes:
            check_may(actor, "change_planassignment")
            name = changes["plan"]
            try:
                plan = None if name is None else find(name)
            except NotFound as missing:  # a field that is wrong, not an address
                raise Invalid.field("plan", str(missing)) from None
            assign_to_person(user, plan, actor=actor)
    return user


def names_of(people_ids: Collection[UUID]) -> dict[UUID, str]:
    """The names of the plans that these people have of their own, by the people's ids."""
    rows = PlanAssignment.objects.filter(
        kind=Kind.USER, subject_id__in=[str(each) for each in people_ids]
    )
    return {UUID(subject): name for subject, name in rows.values_list("subject_id", "plan__name")}


def _assign(subject: Subject, plan: Plan | None, *, actor: User | None) -> None:
    if plan is not None:
        plan = _held(plan)
    earlier = PlanAssignment.objects.filter(**subject.named).select_related("plan").first()
    if plan is None:
        PlanAssignment.objects.filter(**subject.named).delete()
    else:
        PlanAssignment.objects.update_or_create(**subject.named, defaults={"plan": plan})
    audit.record(
        AuditAction.PLAN_ASSIGNED,
        actor=actor,
        target=subject.target,
        before={"plan": earlier.plan.name if earlier else None},
        after={"plan": plan.name if plan else None},
    )


def _locked() -> list[Plan]:
    """All plans, which nobody else changes until the transaction ends: one of them is the default,
    whoever else makes another one so at the same moment."""
    return list(Plan.objects.select_for_update().order_by("id"))


def _held(plan: Plan) -> Plan:
    """As it is now, and stays until the transaction ends; raises NotFound."""
    found = next((each for each in _locked() if each.pk == plan.pk), None)
    if found is None:
        raise NotFound(_("There is no such plan any more."))
    return found


def _no_default() -> None:
    Plan.objects.filter(is_default=True).update(is_default=False)


def _put_limits(plan: Plan, wanted: Iterable[Allowance]) -> None:
    PlanLimit.objects.bulk_create(
        PlanLimit(plan=plan, metric=each.metric, period=each.period, amount=each.amount)
        for each in wanted
    )


def _target(plan: Plan) -> Target:
    return Target(TargetKind.PLAN, plan.pk, plan.name)


def _fields(plan: Plan) -> dict[str, Any]:
    limits = [str(each) for each in allowances(plan)]
    return {"name": plan.name, "is_default": plan.is_default, "limits": limits}
