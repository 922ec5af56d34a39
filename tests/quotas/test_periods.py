"""Windows begin and end by the clock of the deployment's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotas.models import Period
from quotas.periods import BEGINNING, bounds

ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",  # 5 h 45 min
    "America/Sao_Paulo",  # until 2018 some days began at one o'clock
    "Asia/Beirut",  # the same
    "America/Havana",  # midnight comes twice once a year
    "Pacific/Apia",  # left out the 30th of December 2011
)


@pytest.fixture
def zone(settings):
    def use(name):
        settings.TIME_ZONE = name
        return ZoneInfo(name)

    return use


def at(text):
    return datetime.fromisoformat(text)


@pytest.mark.row("F17")
@pytest.mark.parametrize(
    ("name", "moment", "start", "end"),
    [
        ("UTC", "2026-11-21T22:10:59Z", "2026-11-21T00:00Z", "2026-11-22T00:00Z"),
        ("Asia/Shanghai", "2026-11-21T22:10Z", "2026-11-21T16:00Z", "2026-11-22T16:00Z"),
        # 23 hours, 25 hours.
        ("Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        # A day that begins at one o'clock.
        ("America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"),
        # Midnight, an hour later midnight again.
        ("America/Havana", "2026-11-01T05:30Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
    ],
)
def test_a_day_lasts_from_midnight_to_midnight(zone, name, moment, start, end):
    zone(name)

    assert bounds(Period.DAY, at(moment)) == (at(start), at(end))


@pytest.mark.row("F17")
@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        ("2028-02-29T12:00Z", "2028-01-31T23:00Z", "2028-02-29T23:00Z"),
        ("2026-12-31T23:30Z", "2026-12-31T23:00Z", "2027-01-31T23:00Z"),
        ("2026-03-31T21:59Z", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
    ],
)
def test_a_month_lasts_from_its_first_midnight_to_the_next_ones(zone, moment, start, end):
    zone("Europe/Berlin")

    assert bounds(Period.MONTH, at(moment)) == (at(start), at(end))


def test_total_never_ends():
    assert bounds(Period.TOTAL, at("2026-11-21T22:10Z")) == (BEGINNING, None)


@pytest.mark.row("F17")
@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("period", [Period.MINUTE, Period.DAY, Period.MONTH])
def test_every_moment_lies_in_one_window_and_windows_leave_no_gap(zone, name, period):
    zone(name)

    @given(st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    def holds(moment):
        start, end = bounds(period, moment)

        assert end is not None
        assert start <= moment < end
        assert bounds(period, start) == bounds(period, end - timedelta(microseconds=1))
        assert bounds(period, end)[0] == end

    holds()
