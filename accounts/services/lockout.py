"""Guessing passwords is slow: failures are counted before the hasher runs (S8).

Every try counts as a failure until it turns out right, in one conditional UPDATE per counter.
So of many guesses at once no more are checked than may fail.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts.errors import LockedOut
from accounts.models import SignInFailures
from common.addresses import address_key
from common.db import write_transaction

ADDRESS, ACCOUNT, BOTH = "address", "account", "account_address"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One counted try. `slowed`: too many failed on this account, from wherever."""

    counters: tuple[tuple[str, str], ...]
    slowed: bool


def count_attempt(*, account: str, address: str) -> Attempt:
    """Count a try against `account`; raises LockedOut, and counts nothing, when one is too many.

    The count of the account alone refuses nobody, or whoever knows a name could lock its owner
    out: it only makes tries slow.
    """
    now, network = timezone.now(), address_key(address)
    subjects = {ADDRESS: network, ACCOUNT: account, BOTH: f"{account} {network}"}
    counters = tuple((scope, _digest(subject)) for scope, subject in subjects.items())
    with write_transaction():
        for scope, subject in counters:
            if not _count(scope, subject, now=now, bounded=scope != ACCOUNT):
                raise LockedOut(retry_after=_wait(scope, subject, now=now))
        slowed = _failures(ACCOUNT, counters[1][1]) > settings.SIGN_IN_FAILURES[ACCOUNT][0]
    return Attempt(counters, slowed)


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


def purge() -> int:
    """Drop the counters whose window is over."""
    longest = max(seconds for _, seconds in settings.SIGN_IN_FAILURES.values())
    ended = timezone.now() - timedelta(seconds=longest)
    return SignInFailures.objects.filter(window_start__lt=ended).delete()[0]


def _count(scope: str, subject: str, *, now: datetime, bounded: bool) -> bool:
    limit, seconds = settings.SIGN_IN_FAILURES[scope]
    begun = now - timedelta(seconds=seconds)
    rows = SignInFailures.objects.filter(scope=scope, subject=subject)
    running = rows.filter(window_start__gt=begun)
    with_room = running.filter(count__lt=limit) if bounded else running
    if with_room.update(count=F("count") + 1):
        return True
    if rows.filter(window_start__lte=begun).update(count=1, window_start=now):
        return True
    _, made = SignInFailures.objects.get_or_create(
        scope=scope, subject=subject, defaults={"window_start": now, "count": 1}
    )
    # Not made: the counter is full, or another first try made it a moment ago.
    return made or bool(with_room.update(count=F("count") + 1))


def _failures(scope: str, subject: str) -> int:
    return SignInFailures.objects.values_list("count", flat=True).get(scope=scope, subject=subject)


def _wait(scope: str, subject: str, *, now: datetime) -> float:
    start = SignInFailures.objects.values_list("window_start", flat=True).get(
        scope=scope, subject=subject
    )
    seconds: int = settings.SIGN_IN_FAILURES[scope][1]
    return (start + timedelta(seconds=seconds) - now).total_seconds()


def _digest(subject: str) -> str:
    return hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()
