"""Limits of one subject's own, what is granted on top for a time, and a fresh start."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AuditAction, User
from accounts.services import audit
from common.db import write_transaction
from common.errors import Invalid
from quotas.models import (
    AMOUNT_AT_MOST,
    REASON_CHARACTERS,
    Boost,
    Kind,
    Payer,
    SubjectLimit,
    Window,
)
from quotas.periods import bounds
from quotas.services import amounts
from quotas.services.amounts import Allowance
from quotas.services.limits import Limit, limits_of, limits_of_subject
from quotas.services.subjects import Subject, check_may
from quotas.services.windows import standings_of

# The reason that a boost has which was made by `reset`.
RESET = "reset"


def set_limit(
    subject: Subject, metric: str, period: str, amount: int | None, *, actor: User | None
) -> None:
    """Give a subject a limit of its own, or, with None, take it away; a person's goes before that
    of their plan. It counts from the next turn on. Raises PermissionDenied, Invalid."""
    check_may(actor, "change_subjectlimit")
    amounts.check_named(metric, period)
    named = {**subject.named, "metric": metric, "period": period}
    with write_transaction():
        earlier = SubjectLimit.objects.select_for_update().filter(**named).first()
        if amount is None:
            SubjectLimit.objects.filter(**named).delete()
        else:
            amounts.check([Allowance(metric, period, amount)], field="amount")
            SubjectLimit.objects.update_or_create(**named, defaults={"amount": amount})
        audit.record(
            AuditAction.LIMIT_CHANGED,
            actor=actor,
            target=subject.target,
            before={"limit": _told(metric, period, earlier.amount if earlier else None)},
            after={"limit": _told(metric, period, amount)},
        )


def grant(
    subject: Subject,
    metric: str,
    amount: int,
    *,
    period: str = "",
    until: datetime | None = None,
    reason: str = "",
    actor: User | None,
) -> Boost:
    """Let a subject use so much more, from now `until` then; without it for good. Without a
    period the limits of day, month and total are raised. Raises PermissionDenied, Invalid."""
    check_may(actor, "add_boost")
    now = timezone.now()
    amounts.check_named(metric, period or "day")
    amounts.check([Allowance(metric, period or "day", amount)], field="amount")
    if amount == 0:
        raise Invalid.field("amount", _("Use a number above 0."))
    if len(reason) > REASON_CHARACTERS:
        text = _("Use at most %(count)d characters.")
        raise Invalid.field("reason", text % {"count": REASON_CHARACTERS})
    if until is not None and not now < until:
        raise Invalid.field("until", _("This is past."))
    if until is not None and until.year > settings.DATE_YEARS[1]:
        last = settings.DATE_YEARS[1]
        raise Invalid.field("until", _("Use a year up to %(year)d.") % {"year": last})
    boost = Boost(
        **subject.named,
        metric=metric,
        period=period,
        amount=amount,
        starts_at=now,
        ends_at=until,
        reason=reason,
    )
    with write_transaction():
        boost.save(force_insert=True)
        _record(AuditAction.BOOST_GRANTED, subject, boost, actor=actor)
    return boost


def reset(
    subject: Subject, *, metric: str = "", period: str = "", actor: User | None
) -> list[Boost]:
    """A fresh start: as much as was used is granted on top until the window ends, for each limit
    of the subject's own, or of that metric and period alone. The ledger stays as it is.

    What an earlier reset has granted in this window counts. Raises PermissionDenied, Invalid.
    """
    check_may(actor, "add_boost")
    amounts.check_named(metric or "tokens", period or "day")
    made = []
    with write_transaction():
        now = timezone.now()
        chosen = [
            limit
            for limit in applying_to(subject, at=now)
            if limit.kind == subject.kind
            and metric in {"", limit.metric}
            and period in {"", limit.period}
        ]
        for limit in chosen:
            boost = _make_up_for_use(limit, at=now)
            if boost is not None:
                made.append(boost)
                _record(AuditAction.LIMIT_RESET, subject, boost, actor=actor)
    return made


def take_back(boost: Boost, subject: Subject, *, actor: User | None) -> None:
    """What was granted counts no more. Raises PermissionDenied."""
    check_may(actor, "delete_boost")
    with write_transaction():
        _record(AuditAction.BOOST_TAKEN_BACK, subject, boost, actor=actor)
        boost.delete()


def applying_to(subject: Subject, *, at: datetime) -> list[Limit]:
    """Of a person all limits that apply to them, of anything else its own."""
    if subject.kind == Kind.USER:
        return limits_of(Payer(UUID(subject.id)), at=at).limits
    return limits_of_subject(subject.kind, subject.id, at=at)


def _make_up_for_use(limit: Limit, *, at: datetime) -> Boost | None:
    """Part of the transaction that resets: the window is held, so that of two resets at once the
    second sees what the first has granted."""
    start, end = bounds(limit.period, at)
    named = {"kind": limit.kind, "subject_id": limit.subject_id}
    named |= {"metric": limit.metric, "period": limit.period}
    list(Window.objects.select_for_update().filter(**named, start=start))
    ((_limit, standing),) = standings_of([limit], at=at)
    earlier = Boost.objects.filter(**named, reason=RESET, ends_at=end, starts_at__gte=start)
    granted = earlier.aggregate(total=Sum("amount"))["total"] or 0
    amount = min(standing.used - granted, AMOUNT_AT_MOST)
    if amount <= 0:
        return None
    return Boost.objects.create(**named, amount=amount, starts_at=at, ends_at=end, reason=RESET)


def _record(action: AuditAction, subject: Subject, boost: Boost, *, actor: User | None) -> None:
    """Not its reason: people's words are in no entry."""
    told = _told(boost.metric, boost.period or "*", boost.amount)
    audit.record(
        action,
        actor=actor,
        target=subject.target,
        after={"boost": told, "until": boost.ends_at},
    )


def _told(metric: str, period: str, amount: int | None) -> str | None:
    return None if amount is None else str(Allowance(metric, period, amount))
