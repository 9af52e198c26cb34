"""Imagined images, right and wrong ones, that are added to see how far a number may be off.

Agresti and Coull (The American Statistician 52, 119-126, 1998) add two successes and two failures
to a share before they ask for its spread: a test set without a mistake does not show that there is
none. Here as many images are shared out among the labels, and each pair of answers of both versions
(both right, one, none) gets as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlrek.evaluation import FloatArray

IMAGES: Final = 4.0
"""All imagined images together count so many."""

MAX_LABELS: Final = 32
"""They are of the rarest labels: each of many labels makes little of an average."""

_TP, _PREDICTED, _SUPPORT = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """What each adds to the counts of both versions, (n, 3, n_labels) each, as far as it counts.

    `share` (n,) is how much of an image each is.
    """

    columns: tuple[FloatArray, FloatArray]
    share: FloatArray


def imagine_images(
    totals: Sequence[FloatArray], labels: tuple[str, ...], *, paired: bool
) -> Imagined:
    """Images of the labels that occur, whose wrong answers are shared out among the others.

    Args:
        totals: The counts of both versions, (3, n_labels) each.
        labels: Their names, which make the choice independent of their order.
        paired: Whether both versions answer the same images; else each has images of its own.
    """
    occur = [_choose(one, labels) for one in totals]
    if paired:
        both = _choose(totals[0] + totals[1], labels)
        right, wrong = _answer(both, len(labels))
        share = np.full(4 * len(both), IMAGES / max(4 * len(both), 1))
        columns = (
            np.concatenate([right, wrong, right, wrong]),
            np.concatenate([right, right, wrong, wrong]),
        )
    else:
        parts = [np.concatenate(_answer(codes, len(labels))) for codes in occur]
        share = np.concatenate([np.full(len(p), IMAGES / max(len(p), 1)) for p in parts])
        columns = (
            np.concatenate([parts[0], np.zeros_like(parts[1])]),
            np.concatenate([np.zeros_like(parts[0]), parts[1]]),
        )
    scaled = share[:, np.newaxis, np.newaxis]
    return Imagined(columns=(columns[0] * scaled, columns[1] * scaled), share=share)


def imagine_labels(n_labels: int) -> Imagined:
    """For the numbers of each label alone: it is found or missed, and found or falsely predicted.

    Each pair of answers counts half an image, of every label at once: no number is of two labels.
    """
    hit, miss, false = np.zeros((3, 3, n_labels))
    hit[:] = 1.0
    miss[_SUPPORT] = 1.0
    false[_PREDICTED] = 1.0
    baseline = np.array([hit, miss, hit, miss, hit, false, hit, false])
    candidate = np.array([hit, hit, miss, miss, hit, hit, false, false])
    share = np.full(len(baseline), IMAGES / len(baseline))
    scaled = share[:, np.newaxis, np.newaxis]
    return Imagined(columns=(baseline * scaled, candidate * scaled), share=share)


def _choose(totals: FloatArray, labels: tuple[str, ...]) -> list[int]:
    """The labels that occur, the rarest first, at most `MAX_LABELS`."""
    occurs = totals[_PREDICTED] + totals[_SUPPORT] > 0
    found = np.flatnonzero(occurs).tolist()
    return sorted(found, key=lambda code: (totals[_SUPPORT, code], labels[code]))[:MAX_LABELS]


def _answer(codes: Sequence[int], n_labels: int) -> tuple[FloatArray, FloatArray]:
    """A right and a wrong answer to an image of each label, (n_codes, 3, n_labels) each."""
    right, wrong = np.zeros((2, len(codes), 3, n_labels))
    for row, code in enumerate(codes):
        right[row, :, code] = 1.0
        wrong[row, _SUPPORT, code] = 1.0
        others = [other for other in codes if other != code]
        wrong[row, _PREDICTED, others] = 1.0 / max(len(others), 1)
    return right, wrong
