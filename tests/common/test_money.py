"""Money is integers; decimals exist at the edge only."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import as_decimal, price_of, rounded


@pytest.mark.parametrize(
    ("billionths", "shown"),
    [
        (0, "0.000000"),
        (1_250_000, "0.001250"),
        (1, "0.000000"),
        (500, "0.000000"),
        (1_500, "0.000002"),
        (2_500, "0.000002"),
        (2_501, "0.000003"),
        (999_999_999, "1.000000"),
        (10**18, "1000000000.000000"),
        (-1_500, "-0.000002"),
    ],
)
def test_six_places_half_even(billionths, shown):
    assert as_decimal(billionths) == shown


@pytest.mark.parametrize(
    ("scaled", "whole"),
    [(0, 0), (499_999, 0), (500_000, 0), (500_001, 1), (1_500_000, 2), (2_500_000, 2)],
)
def test_a_sum_is_rounded_half_even(scaled, whole):
    assert rounded(scaled) == whole


@given(st.integers(0, 10**24))
def test_rounding_is_exact_for_any_size(scaled):
    exact = Decimal(Fraction(scaled).numerator).scaleb(-6)
    assert rounded(scaled) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**12)), max_size=20))
def test_a_sum_rounded_once_is_within_a_half_of_the_exact_one(parts):
    scaled = sum(price_of(tokens, price) for tokens, price in parts)

    assert abs(Fraction(scaled, 1_000_000) - rounded(scaled)) <= Fraction(1, 2)


def test_ten_times_a_tenth_is_one():
    """SQLite's own decimals are floats: 0.9999999999999999."""
    tenth = rounded(price_of(100_000, 1_000_000_000))

    assert as_decimal(10 * tenth) == "1.000000"
