"""Money is integer billionths of the currency unit; decimals exist at the edge only."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

BILLION = 1_000_000_000
PRICED_TOKENS = 1_000_000


def as_decimal(billionths: int) -> str:
    """The decimal string of API.md, six places: `as_decimal(1_250_000) == "0.001250"`."""
    amount = Decimal(billionths) / BILLION
    return str(amount.quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN))


def billionths(amount: Decimal | str | int) -> int:
    """Of an amount in currency units, whatever lies beyond the ninth place cut off.

    Raises ValueError for what is no finite number, or one beyond what Decimal holds.
    """
    try:
        return int(Decimal(amount) * BILLION)
    except (ArithmeticError, ValueError) as exc:
        raise ValueError(f"no amount of money: {str(amount)[:40]}") from exc


def price_of(tokens: int, price: int) -> int:
    """What `tokens` cost before rounding, in millionths of a billionth.

    `price` is in billionths per 1,000,000 tokens. Sum these, then `rounded` once.
    """
    return tokens * price


def rounded(scaled: int) -> int:
    """A sum of `price_of` in billionths, rounded half even, without floats."""
    whole, rest = divmod(scaled, PRICED_TOKENS)
    half = PRICED_TOKENS // 2
    if rest > half or (rest == half and whole % 2):
        whole += 1
    return whole
