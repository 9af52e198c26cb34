"""Numbers and days as people read them: one rounding, one minus sign, one mark for what is not."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from math import isnan, nan
from typing import Final

UNDEFINED: Final = "—"
"""Stands for a number that does not exist."""
_TOO_LARGE: Final = 1e15  # has no decimals to round


def fmt(
    value: float | None, digits: int = 3, *, signed: bool = False, undefined: str = UNDEFINED
) -> str:
    """A number with so many decimals, its minus sign in ASCII; zero has no sign.

    >>> fmt(0.93236), fmt(-0.0103, 2, signed=True), fmt(0.1, signed=True), fmt(-0.00001), fmt(None)
    ('0.932', '-0.01', '+0.100', '0.000', '—')
    """
    if value is None or isnan(value):
        return undefined
    rounded = round(float(value), digits) + 0.0
    return f"{rounded:+,.{digits}f}" if signed and rounded else f"{rounded:,.{digits}f}"


def span(
    low: float | None,
    high: float | None,
    digits: int = 3,
    *,
    signed: bool = False,
    undefined: str = UNDEFINED,
) -> str:
    """The ends of an interval.

    >>> span(0.912, 0.9484), span(-0.1, 0.25, 2, signed=True), span(None, 1.0)
    ('0.912 to 0.948', '-0.10 to +0.25', '—')
    """
    if isnan(nan if low is None else low) or isnan(nan if high is None else high):
        return undefined
    return " to ".join(fmt(end, digits, signed=signed) for end in (low, high))


def fmt_with(
    value: float | None, low: float | None, high: float | None, digits: int = 3, ends: int = 2
) -> str:
    """A number with its interval, where it has one, in one narrow cell.

    >>> fmt_with(0.93236, 0.912, 0.9484), fmt_with(0.5, None, None), fmt_with(None, 0.1, 0.2)
    ('0.932 (0.91–0.95)', '0.500', '—')
    """
    whole, around = fmt(value, digits), span(low, high, ends, undefined="")
    return f"{whole} ({around.replace(' to ', '–')})" if around and whole != UNDEFINED else whole


def fmt_date(milliseconds: int | None) -> str:
    """The day of a time in UTC, '' where it is not known.

    >>> fmt_date(1690474772815), fmt_date(None)
    ('2023-07-27', '')
    """
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()


def fmt_percent(share: float | None) -> str:
    """A share in percent with up to two decimals, half up.

    >>> fmt_percent(58 / 64), fmt_percent(0.875)
    ('90.63 %', '87.5 %')
    """
    if share is None or isnan(share):
        return UNDEFINED
    return f"{round_half_up(100 * share, 2):g} %"


def round_half_up(value: float, digits: int = 0) -> float:
    """A number rounded as Google's console does it: half goes away from zero.

    >>> round_half_up(100 * 58 / 64, 2), round(100 * 58 / 64, 2)
    (90.63, 90.62)
    """
    if not abs(value) < _TOO_LARGE:
        return value
    step = Decimal(1).scaleb(-digits)
    return float(Decimal(repr(float(value))).quantize(step, rounding=ROUND_HALF_UP))
