"""Which labels the confusion matrices of a project are drawn with, when they have too many."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import IntArray

MAX_LABELS: Final = 25
"""Past so many labels only the most confused ones are shown, and the others as one."""

_DIGEST: Final = "sha256:"


def count_shown(labels: int, top_labels: int = 0) -> int:
    """How many of the labels a heat map shows; one place is kept for the others."""
    if not top_labels and labels <= MAX_LABELS:
        return labels
    return min(labels, top_labels or MAX_LABELS, MAX_LABELS - 1)


def find_most_confused(counts: NDArray[np.int64], labels: int, most: int) -> IntArray:
    """The labels with most wrong counts in their row and column, ties to the first, in order.

    Args:
        counts: A confusion matrix whose first `labels` rows and columns are the labels.
        labels: Number of labels.
        most: How many are wanted.
    """
    total = counts.sum(axis=1)[:labels] + counts.sum(axis=0)[:labels]
    wrong = total - 2 * np.diagonal(counts)[:labels]
    return np.sort(np.argsort(-wrong, kind="stable")[:most])


def find_drawn(labels: Sequence[str], drawn_labels: Sequence[str]) -> IntArray | None:
    """The codes of the labels that were chosen for a project, in the order of that choice.

    Args:
        labels: The labels of one version.
        drawn_labels: Those that were chosen, each as its name or as `digest_label` gives it.

    Returns:
        None where the version shows all its labels: it has few enough, or nothing was chosen that
        it has.
    """
    if len(labels) <= count_undivided(drawn_labels):
        return None
    codes = {label: code for code, label in enumerate(labels)}
    if any(name.startswith(_DIGEST) for name in drawn_labels):
        codes = {digest_label(label): code for label, code in codes.items()} | codes
    found = dict.fromkeys(codes[name] for name in drawn_labels if name in codes)
    return np.array([*found], dtype=np.int64) if found else None


def count_undivided(drawn_labels: Sequence[str]) -> int:
    """Up to how many labels a version shows all of them, in a project with this choice.

    >>> count_undivided(["a"] * 24), count_undivided(["a"] * 10), count_undivided([])
    (25, 10, 25)
    """
    fewer = 0 < len(drawn_labels) < MAX_LABELS - 1
    return len(drawn_labels) if fewer else MAX_LABELS


def digest_label(label: str) -> str:
    """What stands for a long name where there is no room for it."""
    return _DIGEST + sha256(label.encode("utf-8", "surrogatepass")).hexdigest()
