"""Label names in messages."""

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final

from mlrek.evaluation import BoolArray

_MAX_NAMES: Final = 25


def name_labels(labels: Iterable[str]) -> str:
    """Label names for a message: escaped as Python would, at most 25 of them."""
    names = [repr(label) for label in labels]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def select_labels(labels: Sequence[str], selected: BoolArray) -> list[str]:
    """The names of the labels in `selected` (n_labels,)."""
    return list(compress(labels, selected))
