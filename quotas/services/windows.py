"""Windows: room taken and given back in single statements, rows made from the ledger.

Lock order: conversation, turn, `settling` or `making`, hold, windows; windows in the order of
`quotas.services.limits.order`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from common.db import write_transaction
from common.errors import AppError, RateLimited
from common.statements import Select, update_returning
from quotas.errors import QuotaExceeded
from quotas.models import Consumption, Hold, Kind, Metric, Payer, Period, UsageRecord, Window
from quotas.periods import bounds
from quotas.services.amounts import told
from quotas.services.limits import Limit, limits_of, order

# A window is made from the ledger's sum while nobody adds to the ledger: who settles shares this
# lock of PostgreSQL's, who makes windows has it alone. SQLite has one writer anyway.
_BOOKS_LOCK = 7_211_905_113
# `total` never resets; a client is told to come back when somebody may have raised the limit.
_NEVER_SECONDS = 86_400.0


class WindowsMissing(Exception):
    """Limits whose windows nobody has asked for yet. Rolls back who asks: `make` them, which
    nobody may who holds others, and ask again."""

    def __init__(self, limits: list[Limit], at: datetime) -> None:
        super().__init__()
        self.limits = limits
        self.at = at


@dataclass(frozen=True, slots=True)
class Standing:
    """A window as it is. Amounts as those of limits."""

    used: int
    held: int


def take(limits: list[Limit], amounts: Consumption, *, at: datetime) -> list[tuple[str, int]]:
    """Hold `amounts` in the windows of all `limits` that `at` lies in; the windows' ids, each with
    its limit. Raises QuotaExceeded or, by the minute, RateLimited for the first without room;
    WindowsMissing. What was taken before that is for the caller's transaction to roll back."""
    taken = []
    for limit in limits:
        amount = amounts.of(limit.metric)
        while (found := _take(limit, amount, at)) is None:
            standing = standing_of(limit, at=at)
            if standing is None:
                raise WindowsMissing(limits, at)
            if standing.used + standing.held + amount > limit.amount:
                raise refusal(limit, standing, at=at)
            # Somebody has just made the window, or given back what was held in it.
        taken.append((found, limit.amount))
    return taken


def refusal(limit: Limit, standing: Standing, *, at: datetime) -> AppError:
    """What is told of a limit without room."""
    kind = RateLimited if limit.period == Period.MINUTE else QuotaExceeded
    row = shown(limit, standing, at=at)
    names = ("subject", "metric", "period", "limit", "used", "resets_at")
    _start, end = bounds(limit.period, at)
    wait = (end - timezone.now()).total_seconds() if end else _NEVER_SECONDS
    return kind(retry_after=max(1.0, wait), limit={name: row[name] for name in names})


def shown(limit: Limit, standing: Standing, *, at: datetime) -> dict[str, Any]:
    """A limit and what is left of it, as the wire has it."""
    _start, end = bounds(limit.period, at)
    remaining = max(0, limit.amount - standing.used - standing.held)
    return {
        "subject": limit.kind,
        "metric": limit.metric,
        "period": limit.period,
        "limit": told(limit.metric, limit.amount),
        "used": told(limit.metric, standing.used),
        "held": told(limit.metric, standing.held),
        "remaining": told(limit.metric, remaining),
        "resets_at": end and end.isoformat().replace("+00:00", "Z"),
    }


def standing_of(limit: Limit, *, at: datetime) -> Standing | None:
    """What is used and held of it; None where nobody has asked yet."""
    start, _end = bounds(limit.period, at)
    rows = _standing.rows(**_named(limit), start=_moment(start))
    return Standing(*rows[0]) if rows else None


def standings(payer: Payer, *, at: datetime) -> list[tuple[Limit, Standing]]:
    """The limits that apply to a payer, and what is used and held of each."""
    return standings_of(limits_of(payer, at=at).limits, at=at)


def shown_to(payer: Payer) -> list[dict[str, Any]]:
    """The same of now, as the wire has it."""
    now = timezone.now()
    return [shown(limit, standing, at=now) for limit, standing in standings(payer, at=now)]


def standings_of(limits: Iterable[Limit], *, at: datetime) -> list[tuple[Limit, Standing]]:
    """What is used and held of each of `limits`, in the windows that `at` lies in."""
    return [
        (limit, standing_of(limit, at=at) or Standing(ledger_sum(_window(limit, at)), 0))
        for limit in limits
    ]


def settle(hold: Hold, amounts: Consumption | None) -> list[tuple[Window, int, int]]:
    """Give back what `hold` held and count what was used, None for nothing known; part of the
    transaction that `settling` began. Windows with the limit they were taken under, and what was
    added."""
    limits = {UUID(window_id): limit for window_id, limit in hold.windows}
    changed = []
    for window_id, metric in _open_to(hold):
        used = amounts.of(metric) if amounts else 0
        given_back = hold.amounts.of(metric) if window_id in limits else 0
        if not (used or given_back):
            continue
        window = update_returning(
            Window, where={"id": window_id}, raised={"used": used, "held": -given_back}
        )
        if window is not None and window_id in limits:
            changed.append((window, limits[window_id], used))
    return changed


def settling() -> None:
    """Before the hold of a turn is closed: nobody makes windows until the transaction ends."""
    _lock("pg_advisory_xact_lock_shared")


def making() -> None:
    """Nobody settles until the transaction ends."""
    _lock("pg_advisory_xact_lock")


def make(limits: Iterable[Limit], *, at: datetime) -> None:
    """Make the windows of `limits` that `at` lies in, where they are not there yet, with what the
    ledger says was used in them. What runs meanwhile is counted when it settles."""
    with write_transaction():
        making()
        for limit in limits:
            window = _window(limit, at)
            if not Window.objects.filter(**_named(limit), start=window.start).exists():
                window.used = ledger_sum(window)
                window.save(force_insert=True)


def ledger_sum(window: Window) -> int:
    """What the subject of a window has used in it, by the ledger."""
    records = UsageRecord.objects.filter(charged_to(window.kind, window.subject_id), within(window))
    total = {
        Metric.REQUESTS: Count("pk"),
        Metric.TOKENS: Sum(F("prompt_tokens") + F("completion_tokens")),
        Metric.COST: Sum("cost"),
    }[Metric(window.metric)]
    return int(records.aggregate(total=total)["total"] or 0)


def charged_to(kind: str, subject_id: str) -> Q:
    """Rows of the ledger, or holds, that count against a subject."""
    if kind == Kind.DEPLOYMENT:
        return Q()
    if kind == Kind.GROUP:
        return Q(group_ids__contains=f",{subject_id},")
    return Q(**{f"{kind}_id": UUID(subject_id)})


def within(window: Window) -> Q:
    found = Q(started_at__gte=window.start)
    return found if window.ends_at is None else found & Q(started_at__lt=window.ends_at)


def _take(limit: Limit, amount: int, at: datetime) -> str | None:
    """The id of the window, or None where there is no room, or no window."""
    start, _end = bounds(limit.period, at)
    named = _named(limit)
    with connection.cursor() as cursor:
        cursor.execute(
            _taking(connection.vendor),
            [amount, *named.values(), _moment(start), amount, limit.amount],
        )
        row = cursor.fetchone()
    return str(UUID(str(row[0]))) if row else None


@functools.cache
def _taking(_vendor: str) -> str:
    table = connection.ops.quote_name(Window._meta.db_table)  # noqa: SLF001 documented
    return (
        f"UPDATE {table} SET held = held + %s"  # noqa: S608 the name of a model's table
        " WHERE kind = %s AND subject_id = %s AND metric = %s AND period = %s AND start = %s"
        " AND used + held + %s <= %s RETURNING id"
    )


def _open_to(hold: Hold) -> list[tuple[UUID, str]]:
    """The windows that what the turn used belongs to, in their order, with their metrics: those it
    was counted in, and those that were made since."""
    starts = {period: _moment(bounds(period, hold.started_at)[0]) for period in Period.values}
    rows = _windows.rows(
        user=str(hold.user_id or ""),
        key=str(hold.key_id or ""),
        inbox=str(hold.inbox_id or ""),
        **starts,
    )
    groups = set(hold.group_ids.split(","))
    found = {
        UUID(str(window_id)): key
        for window_id, *key in rows
        if key[0] != Kind.GROUP or key[1] in groups
    }
    missed = [window_id for window_id, _limit in hold.windows if UUID(window_id) not in found]
    if missed:  # the time zone was changed meanwhile
        for window in Window.objects.filter(pk__in=missed):
            found[window.pk] = [window.kind, window.subject_id, window.metric, window.period]
    ordered = sorted(found, key=lambda window_id: order(tuple(found[window_id])))
    return [(window_id, found[window_id][2]) for window_id in ordered]


def _window(limit: Limit, at: datetime) -> Window:
    """As it would be made; not saved."""
    start, end = bounds(limit.period, at)
    return Window(**_named(limit), start=start, ends_at=end)


def _named(limit: Limit) -> dict[str, str]:
    return {
        "kind": limit.kind,
        "subject_id": limit.subject_id,
        "metric": limit.metric,
        "period": limit.period,
    }


def _moment(at: datetime) -> Any:
    """As the database is given a time by hand."""
    return connection.ops.adapt_datetimefield_value(at)


def _lock(function: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [_BOOKS_LOCK])


def _ours(*, user: Any, key: Any, inbox: Any, **starts: Any) -> Any:
    mine = (
        Q(kind=Kind.USER, subject_id=user)
        | Q(kind=Kind.KEY, subject_id=key)
        | Q(kind=Kind.INBOX, subject_id=inbox)
        | Q(kind__in=[Kind.GROUP, Kind.DEPLOYMENT])
    )
    times = Q()
    for period, start in starts.items():
        times |= Q(period=period, start=start)
    rows = Window.objects.filter(mine, times)
    return rows.values_list("id", "kind", "subject_id", "metric", "period")


_windows = Select("user", "key", "inbox", *Period.values, build=_ours)
_standing = Select(
    "kind",
    "subject_id",
    "metric",
    "period",
    "start",
    build=lambda **key: Window.objects.filter(**key).values_list("used", "held"),
)
