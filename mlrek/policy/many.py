"""Many labels checked at once: which of those that fall below a limit did so beyond chance.

Holm's step-down (Holm 1979) on the failing side, by intervals: of m labels the i-th to fail is held
to an interval of confidence 1 - (1 - c) / (m - i + 1). Passing needs no correction: that all labels
pass by chance is less likely than that one does.
"""

from collections.abc import Callable
from typing import TypeVar

_Label = TypeVar("_Label")


def find_failing(
    m: int, confidence: float, fails_at: Callable[[float], frozenset[_Label]]
) -> frozenset[_Label]:
    """The labels that fail by Holm's step-down.

    Args:
        m: How many labels are checked together.
        confidence: Of the check.
        fails_at: The labels whose interval at a confidence lies wholly on the wrong side.

    >>> p = {"a": 0.001, "b": 0.02, "c": 0.04}
    >>> at = lambda confidence: frozenset(k for k in p if p[k] <= 1 - confidence)
    >>> sorted(find_failing(3, 0.95, at))
    ['a', 'b', 'c']
    >>> sorted(find_failing(4, 0.95, at))
    ['a']
    """
    found: frozenset[_Label] = frozenset()
    while len(found) < m:
        failing = fails_at(1 - (1 - confidence) / (m - len(found)))
        if len(failing) <= len(found):
            break
        found = failing
    return found
