"""Which limits apply to a turn: one's own, those of plans, and what is granted on top."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import BigIntegerField, CharField, F, Q, QuerySet, Value
from django.db.models.functions import Cast

from accounts.models import User
from common.statements import Select
from quotas.models import (
    Boost,
    Kind,
    Payer,
    Period,
    Plan,
    PlanAssignment,
    PlanLimit,
    SubjectLimit,
)

# A boost without a period does not reach the minute.
_BOOSTED = (Period.DAY, Period.MONTH, Period.TOTAL)
_RANKS = {kind: rank for rank, kind in enumerate(Kind.values)}
_NOBODY = UUID(int=0)
# What the databases can compare with; no sum of boosts needs more.
_MOST = BigIntegerField.MAX_BIGINT


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` of a metric that a subject may use in each window of a period."""

    kind: str
    subject_id: str
    metric: str
    period: str
    amount: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.kind, self.subject_id, self.metric, self.period


@dataclass(frozen=True, slots=True)
class Applying:
    """The limits of one payer, in the order in which their windows are taken; the ids of the
    groups of the person who pays."""

    limits: list[Limit]
    group_ids: list[str]


def order(key: tuple[str, str, str, str]) -> tuple[Any, ...]:
    """Everybody takes windows in this order, so that no two wait for each other; the window that
    all share comes last and is held for the shortest time."""
    return _RANKS[key[0]], *key[1:]


def limits_of(payer: Payer, *, at: datetime) -> Applying:
    """One query. What is granted counts if it lasts at the time `at`."""
    rows = _rows.rows(
        person=payer.user_id or _NOBODY,
        user=str(payer.user_id or ""),
        key=str(payer.key_id or ""),
        inbox=str(payer.inbox_id or ""),
        at=connection.ops.adapt_datetimefield_value(at),
    )
    found = _Found()
    for row in rows:
        found.add(_Row(*row))
    return Applying(
        sorted(found.limits(person=str(payer.user_id or "")), key=lambda each: order(each.key)),
        sorted(found.group_ids),
    )


def limits_of_subject(kind: str, subject_id: str, *, at: datetime) -> list[Limit]:
    """The limits of one subject, with what is granted on top, in the order of their windows."""
    amounts = amounts_of([(kind, subject_id)], at=at)
    return [Limit(*key, amounts[key]) for key in sorted(amounts, key=order)]


class _Row(NamedTuple):
    """One row of the query below."""

    source: str
    kind: str
    subject_id: str
    plan: str
    metric: str
    period: str
    amount: int


class _Found:
    """Rows of the query below, sorted by where they come from."""

    def __init__(self) -> None:
        self.own: dict[tuple[str, str, str, str], int] = {}
        self.group_ids: set[str] = set()
        self._boosts: list[_Row] = []
        # Of each source the plans, of each plan its limits.
        self._plans: dict[str, dict[str, dict[tuple[str, str], int]]] = defaultdict(dict)

    def add(self, row: _Row) -> None:
        if row.source == "member":
            self.group_ids.add(row.subject_id)
        elif row.source == "boost":
            self._boosts.append(row)
        elif row.source == "own":
            self.own[row.kind, row.subject_id, row.metric, row.period] = row.amount
        else:
            limits = self._plans[row.source].setdefault(row.plan, {})
            if row.metric:  # a plan without limits is a row without one
                limits[row.metric, row.period] = row.amount

    def limits(self, *, person: str) -> Iterable[Limit]:
        amounts = dict(self.own)
        if person:
            for (metric, period), amount in self._of_plan().items():
                amounts.setdefault((Kind.USER.value, person, metric, period), amount)
        for key, amount in amounts.items():
            yield Limit(*key, min(amount + self._boost(*key), _MOST))

    def _of_plan(self) -> dict[tuple[str, str], int]:
        """Of several roles with plans the roomiest counts, limit by limit: a further role never
        takes anything away."""
        for source in ("user", "group", "default"):
            if plans := list(self._plans[source].values()):
                shared = set.intersection(*map(set, plans))
                return {each: max(plan[each] for plan in plans) for each in shared}
        return {}

    def _boost(self, *key: str) -> int:
        *subject_and_metric, period = key
        return sum(
            each.amount
            for each in self._boosts
            if [each.kind, each.subject_id, each.metric] == subject_and_metric
            and (each.period == period or (not each.period and period in _BOOSTED))
        )


def _row(rows: QuerySet[Any], *columns: Any) -> QuerySet[Any, Any]:
    """One part of the query: source, kind, subject, plan, metric, period, amount."""
    return rows.order_by().values_list(
        *(Value(each, CharField()) if isinstance(each, str) else each for each in columns)
    )


def _plans(source: str, plans: QuerySet[Any], prefix: str = "") -> QuerySet[Any, Any]:
    """The limits of plans; a plan without any is one row without a metric."""
    names = (f"{prefix}limits__{name}" for name in ("metric", "period", "amount"))
    return _row(plans, source, "", "", Cast(F(f"{prefix}pk"), CharField()), *map(F, names))


def _of_subject(rows: QuerySet[Any], source: str) -> QuerySet[Any, Any]:
    columns = (F("kind"), F("subject_id"), Value("", CharField()))
    return _row(rows, source, *columns, F("metric"), F("period"), F("amount"))


def _lasting(at: Any) -> Q:
    return Q(starts_at__lte=at) & (Q(ends_at=None) | Q(ends_at__gt=at))


def _build(*, person: Any, user: Any, key: Any, inbox: Any, at: Any) -> QuerySet[Any, Any]:
    memberships = User.groups.through._default_manager.filter(user_id=person)  # noqa: SLF001
    group = Cast(F("group_id"), CharField())
    theirs = Q(kind=Kind.GROUP, subject_id__in=memberships.values(named=group))
    subject = (
        Q(kind=Kind.USER, subject_id=user)
        | Q(kind=Kind.KEY, subject_id=key)
        | Q(kind=Kind.INBOX, subject_id=inbox)
        | Q(kind=Kind.DEPLOYMENT)
        | theirs
    )
    mine = PlanAssignment.objects.filter(kind=Kind.USER, subject_id=user)
    nothing = Value(None, CharField())
    return _row(
        memberships,
        "member",
        Kind.GROUP.value,
        group,
        "",
        nothing,
        nothing,
        Value(None, BigIntegerField()),
    ).union(
        _of_subject(SubjectLimit.objects.filter(subject), "own"),
        _of_subject(Boost.objects.filter(subject & _lasting(at)), "boost"),
        _plans("user", mine, "plan__"),
        _plans("group", PlanAssignment.objects.filter(theirs), "plan__"),
        _plans("default", Plan.objects.filter(is_default=True)),
        all=True,
    )


_rows = Select("person", "user", "key", "inbox", "at", build=_build)


def amounts_of(
    subjects: Iterable[tuple[str, str]], *, at: datetime
) -> dict[tuple[str, str, str, str], int]:
    """How much each limit allows, with what is granted on top at that time, by (kind, id, metric,
    period). As many queries for many subjects as for one."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for kind, subject_id in subjects:
        wanted[kind].add(subject_id)
    if not wanted:
        return {}
    found: dict[tuple[str, str], _Found] = defaultdict(_Found)
    theirs = Q()
    for kind, ids in wanted.items():
        theirs |= Q(kind=kind, subject_id__in=ids)
    columns = ("kind", "subject_id", "metric", "period", "amount")
    for source, rows in (
        ("own", SubjectLimit.objects.filter(theirs)),
        ("boost", Boost.objects.filter(theirs & _lasting(at))),
    ):
        for kind, subject_id, *limit in rows.values_list(*columns):
            found[kind, subject_id].add(_Row(source, kind, subject_id, "", *limit))
    _add_plans(found, wanted.get(Kind.USER, set()))
    return {
        limit.key: limit.amount
        for (kind, subject_id), rows in found.items()
        for limit in rows.limits(person=subject_id if kind == Kind.USER else "")
    }


def _add_plans(found: dict[tuple[str, str], _Found], people: set[str]) -> None:
    """Those that people have themselves, those of their roles, and the default one."""
    if not people:
        return
    memberships = User.groups.through._default_manager.filter(user_id__in=people)  # noqa: SLF001
    groups: dict[str, set[str]] = defaultdict(set)
    for user_id, group_id in memberships.values_list("user_id", "group_id"):
        groups[str(user_id)].add(str(group_id))
    every_group = set().union(*groups.values())
    assigned = PlanAssignment.objects.filter(
        Q(kind=Kind.USER, subject_id__in=people) | Q(kind=Kind.GROUP, subject_id__in=every_group)
    )
    plans = {
        (kind, subject_id): str(plan_id)
        for kind, subject_id, plan_id in assigned.values_list("kind", "subject_id", "plan_id")
    }
    limits: dict[str, list[Any]] = defaultdict(list)
    default = set()
    rows = PlanLimit.objects.filter(Q(plan__in=set(plans.values())) | Q(plan__is_default=True))
    for plan_id, is_default, *limit in rows.values_list(
        "plan_id", "plan__is_default", "metric", "period", "amount"
    ):
        limits[str(plan_id)].append(limit)
        if is_default:
            default.add(str(plan_id))
    for person in people:
        given = {("user", plans[Kind.USER, person])} if (Kind.USER, person) in plans else set()
        given |= {
            ("group", plans[Kind.GROUP, each])
            for each in groups[person]
            if (Kind.GROUP, each) in plans
        }
        given |= {("default", each) for each in default}
        for source, plan in given:
            # A plan without limits is a row without a metric.
            for metric, period, amount in limits[plan] or [("", "", 0)]:
                row = _Row(source, Kind.USER, person, plan, metric, period, amount)
                found[Kind.USER, person].add(row)
