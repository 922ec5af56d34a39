"""Guessing passwords is slow: failures are counted before the hasher runs (S8).

Every try counts as a failure until it turns out right, in one conditional UPDATE per counter.
So of many guesses at once no more are checked than may fail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import ngettext

from accounts.errors import LockedOut
from accounts.models import AuditAction, SignInFailures, TargetKind, User
from accounts.services import audit
from common.addresses import address_key
from common.db import write_transaction
from common.digests import digest

ADDRESS, ACCOUNT, BOTH = SignInFailures.Scope.values


@dataclass(frozen=True, slots=True)
class Attempt:
    """One counted try. `slowed`: too many failed on this account, from wherever."""

    counters: tuple[tuple[str, str], ...]
    slowed: bool


def count_attempt(user: User | None, *, account: str, address: str) -> Attempt:
    """Count a try against `account`, which is `user`'s or nobody's.

    Raises LockedOut, and counts nothing, when one is too many.

    The count of the account alone refuses nobody, or whoever knows a name could lock its owner
    out: it only makes tries slow.
    """
    now, network = timezone.now(), address_key(address)
    subjects = {ADDRESS: network, ACCOUNT: account, BOTH: f"{account} {network}"}
    counters = tuple((scope, digest(subject)) for scope, subject in subjects.items())
    try:
        return Attempt(counters, slowed=_count_all(counters, now=now))
    except _Full as full:
        scope, subject = full.args
        _record_lock(user, scope=scope, subject=subject, now=now)
        raise _locked(_wait(scope, subject, now=now)) from None


def give_back(attempt: Attempt) -> None:
    """It was no failure after all.

    Should a window have ended meanwhile, the next one begins one lower: no harm. To compare times
    would do some, as whoever waits for a row may carry an earlier one than its window's start.
    """
    with write_transaction():
        for scope, subject in attempt.counters:
            SignInFailures.objects.filter(scope=scope, subject=subject, count__gt=0).update(
                count=F("count") - 1
            )


def outlived() -> QuerySet[SignInFailures]:
    """Counters whose window is over."""
    longest = max(seconds for _, seconds in settings.SIGN_IN_FAILURES.values())
    ended = timezone.now() - timedelta(seconds=longest)
    return SignInFailures.objects.filter(window_start__lt=ended)


class _Full(Exception):
    """Scope and subject of a counter that has no room; undoes what was counted."""


def _count_all(counters: Iterable[tuple[str, str]], *, now: datetime) -> bool:
    """Is the account slowed? Raises _Full."""
    with write_transaction():
        for scope, subject in counters:
            if not _count(scope, subject, now=now, bounded=scope != ACCOUNT):
                raise _Full(scope, subject)
            if scope == ACCOUNT:
                slowed = _failures(scope, subject) > settings.SIGN_IN_FAILURES[scope][0]
    return slowed


def _count(scope: str, subject: str, *, now: datetime, bounded: bool) -> bool:
    limit, seconds = settings.SIGN_IN_FAILURES[scope]
    begun = now - timedelta(seconds=seconds)
    rows = SignInFailures.objects.filter(scope=scope, subject=subject)
    running = rows.filter(window_start__gt=begun)
    with_room = running.filter(count__lt=limit) if bounded else running
    if with_room.update(count=F("count") + 1):
        return True
    if rows.filter(window_start__lte=begun).update(count=1, window_start=now, locked_at=None):
        return True
    _, made = SignInFailures.objects.get_or_create(
        scope=scope, subject=subject, defaults={"window_start": now, "count": 1}
    )
    # Not made: the counter is full, or another first try made it a moment ago.
    return made or bool(with_room.update(count=F("count") + 1))


def _record_lock(user: User | None, *, scope: str, subject: str, now: datetime) -> None:
    """Once for each time that a door shuts: else whoever knocks would fill the audit trail."""
    counter = SignInFailures.objects.filter(scope=scope, subject=subject, locked_at=None)
    with write_transaction():
        if counter.update(locked_at=now):
            target = audit.person(user) if user else audit.NOTHING
            audit.record(
                AuditAction.SIGN_IN_LOCKED, actor=None, target=target, after={"scope": scope}
            )


def forget(counter: SignInFailures, *, actor: User | None) -> None:
    """Open the door that this count shuts."""
    with write_transaction():
        forgotten, _tables = SignInFailures.objects.filter(pk=counter.pk).delete()
        if forgotten:
            audit.record(
                AuditAction.SIGN_IN_UNLOCKED,
                actor=actor,
                target=audit.Target(TargetKind.FAILED_SIGN_INS, counter.pk),
                before={"scope": counter.scope, "count": counter.count},
            )


def _locked(seconds: float) -> LockedOut:
    """Says how long in words too: people see no header."""
    minutes = math.ceil(seconds / 60)
    text = ngettext(
        "Too many tries. Wait %(count)d minute.", "Too many tries. Wait %(count)d minutes.", minutes
    )
    return LockedOut(text % {"count": minutes}, retry_after=seconds)


def _failures(scope: str, subject: str) -> int:
    return SignInFailures.objects.values_list("count", flat=True).get(scope=scope, subject=subject)


def _wait(scope: str, subject: str, *, now: datetime) -> float:
    """Seconds until the window ends; one where an operator has just opened the door."""
    counter = SignInFailures.objects.filter(scope=scope, subject=subject).first()
    if counter is None:
        return 1
    seconds: int = settings.SIGN_IN_FAILURES[scope][1]
    return (counter.window_start + timedelta(seconds=seconds) - now).total_seconds()
