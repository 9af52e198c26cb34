"""Numbers as short text: a page of 250 labels holds 50,000 counts."""

from string import ascii_lowercase, digits
from typing import Final

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.tables.json_text import Json

CONFIDENCE_STEPS: Final = 100_000
"""A confidence stands as a whole number of these parts."""

_DIGITS: Final = digits + ascii_lowercase
_BASE: Final = len(_DIGITS)
_PER_THRESHOLD: Final = CONFIDENCE_STEPS // 100


def encode_falling(counts: IntArray) -> str:
    """Counts that never rise: the first one, then by how much each is less; 0 is empty.

    >>> encode_falling(np.array([40, 40, 4, 4]))
    '14,,10,'
    """
    steps = np.concatenate([counts[:1], -np.diff(counts)])
    return ",".join(_encode(step) if step else "" for step in steps.tolist())


def encode_confidence(confidence: FloatArray) -> IntArray:
    """Confidences as whole numbers, cut, never rounded; -1 where there is none, (n,).

    `value // 1000` is exactly the highest threshold in percent that the confidence reaches, by the
    same comparison as that of the curves.
    """
    known = np.nan_to_num(confidence, nan=0.0)
    reached = np.searchsorted(np.arange(101) / 100, known, side="right") - 1
    first = reached * _PER_THRESHOLD
    parts = np.floor(known * CONFIDENCE_STEPS).astype(np.int64)
    parts = np.clip(parts, first, first + _PER_THRESHOLD - 1)
    return np.where(np.isnan(confidence), -1, parts)


def encode_rising(codes: IntArray) -> list[Json]:
    """Whole numbers that never fall, each as its distance from the one before."""
    steps: list[Json] = np.diff(codes, prepend=0).tolist()
    return steps


def round_number(value: float, digits: int = 6) -> float | None:
    """A number in so many significant digits; None where it is undefined."""
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def round_numbers(values: FloatArray | IntArray, digits: int = 6) -> list[Json]:
    """`round_number` of each."""
    return [round_number(value, digits) for value in np.asarray(values).tolist()]


def _encode(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, _BASE)
        text = _DIGITS[digit] + text
    return text
