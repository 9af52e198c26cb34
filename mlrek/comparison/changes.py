"""The shared images that two versions do not judge alike, and what both said of them."""

from math import nan
from typing import TypeAlias

import numpy as np

from mlrek.comparison import Answer, ImageChange
from mlrek.comparison.exams import Measured
from mlrek.comparison.rows import Rows

_Gathered: TypeAlias = dict[int, tuple[list[int], list[int], list[float]]]
"""True codes, predicted codes and confidences by image."""


def find_changes(
    shared: tuple[Measured, Measured], images: tuple[str, ...], labels: tuple[str, ...]
) -> tuple[tuple[ImageChange, ...], tuple[ImageChange, ...], tuple[ImageChange, ...]]:
    """Images that only the candidate has right, only the baseline, and wrong in different ways."""
    first, second = (version.rows for version in shared)
    counted = first.counted & second.counted
    right = first.is_right & counted, second.is_right & counted
    wrong = counted & ~right[0] & ~right[1]
    kinds = ~right[0] & right[1], right[0] & ~right[1], wrong
    places = {int(i) for kind in kinds for i in np.flatnonzero(kind)}
    gathered = [_gather(rows, places) for rows in (first, second)]
    answers = [_list_answers(one, labels) for one in gathered]
    truth = _list_truth(gathered[1], labels)

    def describe(i: int) -> ImageChange:
        return ImageChange(
            image=images[i],
            truth=truth[i],
            baseline=answers[0][i],
            candidate=answers[1][i],
        )

    fixed, broken, both_wrong = (
        tuple(describe(i) for i in np.flatnonzero(kind).tolist()) for kind in kinds
    )
    changed = tuple(c for c in both_wrong if c.baseline.labels != c.candidate.labels)
    return fixed, broken, changed


def _list_answers(gathered: _Gathered, labels: tuple[str, ...]) -> dict[int, Answer]:
    """What was predicted; several labels have the confidence of the least sure."""
    return {
        image: Answer(
            labels=tuple([labels[code] for code in sorted(y_pred)]),
            confidence=min(confidence, default=nan),
        )
        for image, (_, y_pred, confidence) in gathered.items()
    }


def _list_truth(gathered: _Gathered, labels: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """The true labels; of boxes as often as they stand there."""
    return {
        image: tuple([labels[code] for code in sorted(y_true)])
        for image, (y_true, _, _) in gathered.items()
    }


def _gather(rows: Rows, images: set[int]) -> _Gathered:
    found: _Gathered = {image: ([], [], []) for image in images}
    wanted = np.zeros(len(rows.counted), dtype=np.bool_)
    wanted[list(images)] = True
    columns = (rows.image_idx, rows.y_true, rows.y_pred, rows.confidence)
    mine = wanted[rows.image_idx]
    for image, y_true, y_pred, confidence in zip(*(c[mine].tolist() for c in columns), strict=True):
        true, predicted, sure = found[image]
        true += [y_true] * (y_true >= 0)
        predicted += [y_pred] * (y_pred >= 0)
        sure += [confidence] * (y_pred >= 0)
    return found
