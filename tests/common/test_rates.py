"""R1, R3: rate limits count exactly, and go on counting without their store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from common import rate_windows, rates
from common.errors import RateLimited


@pytest.fixture
def ten_a_minute(settings):
    settings.RATES = {"test": [(10, 60)]}


def passes(_number: int) -> bool:
    try:
        rates.hit("test", "someone")
    except RateLimited:
        return False
    return True


@pytest.mark.row("R1")
def test_fifty_at_once_pass_a_limit_of_ten_exactly_ten_times(ten_a_minute):
    """R1: counters are atomic."""
    with ThreadPoolExecutor(50) as pool:
        passed = list(pool.map(passes, range(50)))

    assert passed.count(True) == 10


@pytest.mark.row("R1", "R3")
def test_the_refusal_says_how_long_to_wait(ten_a_minute):
    for number in range(10):
        passes(number)

    with pytest.raises(RateLimited) as refusal:
        rates.hit("test", "someone")

    assert 55 < (refusal.value.retry_after or 0) <= 60
    assert 56 <= int(refusal.value.headers()["Retry-After"]) <= 60


def test_subjects_are_counted_apart(ten_a_minute):
    for number in range(10):
        passes(number)

    rates.hit("test", "another")


def test_the_narrower_of_two_windows_refuses(settings):
    settings.RATES = {"test": [(100, 60), (2, 3_600)]}
    passes(0)
    passes(1)

    with pytest.raises(RateLimited) as refusal:
        rates.hit("test", "someone")

    assert (refusal.value.retry_after or 0) > 3_500


def test_what_is_cleared_starts_anew(ten_a_minute):
    for number in range(10):
        passes(number)

    rates.clear("test", "someone")

    assert passes(0)


@pytest.mark.row("R3")
def test_without_redis_the_process_counts(ten_a_minute, settings):
    """R3: store down: in-process counters still bite."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    passed = [passes(number) for number in range(20)]

    assert passed.count(True) == 10


@pytest.mark.row("R1")
def test_a_window_moves_and_forgets_whom_it_has_not_seen(monkeypatch):
    clock = [1_000.0]
    monkeypatch.setattr(rate_windows.time, "monotonic", lambda: clock[0])
    store = rate_windows.MemoryWindows()
    assert store.take("one", 2, 60) == (True, 1, 0)
    clock[0] += 40
    assert store.take("one", 2, 60) == (True, 2, 40)
    assert store.take("one", 2, 60) == (False, 2, 40)

    clock[0] += 21  # the first has left the window, the second has not

    assert store.take("one", 2, 60) == (True, 2, 21)
    assert store.take("one", 2, 60) == (False, 2, 21)
    clock[0] += 200
    store.take("another", 2, 60)
    assert store.reset() == 1


@pytest.mark.row("F17")
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_moves_no_window(ten_a_minute, hours):
    """F17: full for its minute, and no longer, whatever the wall clock says."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert [passes(number) for number in range(11)].count(True) == 10
        clock.shift(timedelta(hours=hours))

        with pytest.raises(RateLimited) as refusal:
            rates.hit("test", "someone")

        assert 50 < (refusal.value.retry_after or 0) <= 60


def test_counting_starts_no_threads(ten_a_minute):
    before = threading.active_count()

    for number in range(10):
        passes(number)

    assert threading.active_count() <= before


def told(name, subject="someone"):
    counted = rates.begin()
    with suppress(RateLimited):
        rates.hit(name, subject)
    return rates.headers(counted)


@pytest.fixture
def two_in_a_minute(settings):
    settings.RATES = {"api_user": [(2, 60)], "register": [(2, 60)], "turns_user": []}


def test_an_answer_says_what_is_left_and_when_there_is_more(two_in_a_minute):
    """Here in memory; with REDIS_URL in Redis, by the same round trip."""
    assert [told("api_user") for _ in range(3)] == [
        {"RateLimit-Policy": '"api";q=2;w=60', "RateLimit": f'"api";r={left};t=60'}
        for left in (1, 0, 0)
    ]
    assert told("api_user", "another")["RateLimit"] == '"api";r=1;t=60'


def test_nothing_is_told_of_what_was_not_counted_or_is_nobody_s_business(two_in_a_minute):
    assert [told("turns_user") for _ in range(9)] == [{}] * 9
    assert told("register") == {}
    rates.hit("api_user", "somebody without a request")
