"""The recorded labels of a few images, with what is true on them."""

from dataclasses import dataclass

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, Task
from mlrek.metrics.pairs import find_codes, pair_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecords:
    """By image, then label, all (n,): `image_place` among the images, `confidence` NaN: none.

    `left_out` is how many records of labels that are not true were too many.
    """

    image_place: IntArray
    label_idx: IntArray
    confidence: FloatArray
    is_true: BoolArray
    left_out: int


def find_records(evaluation: Evaluation, images: IntArray, max_false: int) -> FoundRecords:
    """True labels with a record or without, and the surest `max_false` records of other labels.

    In classification images without truth count for nothing.

    Args:
        evaluation: What was read.
        images: Positions of images, rising.
        max_false: The most records of labels that are not true.
    """
    n_labels = max(len(evaluation.labels), 1)
    if evaluation.task == Task.CLASSIFICATION:
        counted = evaluation.truth.counts[images] > 0
    else:
        counted = np.ones(len(images), dtype=np.bool_)
    true_place, true_rows = _rows_of(evaluation.truth.offsets, images, counted)
    place, rows = _rows_of(evaluation.records.offsets, images, counted)
    true_codes = pair_codes(true_place, evaluation.truth.label_idx[true_rows], n_labels)
    codes = pair_codes(place, evaluation.records.label_idx[rows], n_labels)
    confidence = evaluation.records.confidence[rows]
    is_true = find_codes(codes, true_codes)
    kept = is_true | _is_among_surest(np.where(is_true, -1.0, confidence), max_false)
    unrecorded = true_codes[~find_codes(true_codes, codes)]
    all_codes = np.concatenate([codes[kept], unrecorded])
    order = np.argsort(all_codes, kind="stable")
    return FoundRecords(
        image_place=(all_codes // n_labels)[order],
        label_idx=(all_codes % n_labels)[order],
        confidence=np.concatenate([confidence[kept], np.full(len(unrecorded), np.nan)])[order],
        is_true=np.concatenate([is_true[kept], np.ones(len(unrecorded), dtype=np.bool_)])[order],
        left_out=int(np.count_nonzero(~kept)),
    )


def _rows_of(offsets: IntArray, images: IntArray, counted: BoolArray) -> tuple[IntArray, IntArray]:
    """For each row of these images: the image's place, and the row."""
    starts, counts = offsets[images], (offsets[images + 1] - offsets[images]) * counted
    place = np.repeat(np.arange(len(images)), counts)
    within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place, np.asarray(np.repeat(starts, counts) + within)


def _is_among_surest(confidence: FloatArray, most: int) -> BoolArray:
    """Which are among the `most` greatest, ties to the first; what is negative never is."""
    chosen = np.zeros(len(confidence), dtype=np.bool_)
    chosen[np.argsort(-confidence, kind="stable")[:most]] = True
    return np.asarray(chosen & (confidence >= 0))
