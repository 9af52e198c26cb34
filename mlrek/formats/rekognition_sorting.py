"""Columns of a manifest in file order -> the truth and records of an evaluation, in label order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import IntArray, LabelSets, Records
from mlrek.formats.rekognition_flags import find_outcomes
from mlrek.formats.rekognition_manifest import ManifestColumns


def find_used_labels(columns: ManifestColumns) -> set[str]:
    """The labels that occur; those of lines that were left out do not."""
    n = len(columns.label_codes)
    uses = np.bincount(columns.true_label, minlength=n) + np.bincount(
        columns.record_label, minlength=n
    )
    return {name for name, used in zip(columns.label_codes, uses, strict=True) if used}


def sort_truth(columns: ManifestColumns, labels: Sequence[str]) -> LabelSets:
    """The true labels of each image, distinct and in label order."""
    counts, codes = np.asarray(columns.true_counts), np.asarray(columns.true_label)
    keys = np.sort(_make_keys(columns, labels, counts, codes))
    keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique is far slower
    image_idx, label_idx = np.divmod(keys, max(len(labels), 1))
    return LabelSets(
        offsets=_make_offsets(image_idx, len(columns.images)), label_idx=label_idx.astype(np.int32)
    )


def sort_records(
    columns: ManifestColumns, labels: Sequence[str]
) -> tuple[Records, NDArray[np.uint8]]:
    """The records of each image in label order, and their flags.

    Of several records of one label the most confident is kept, the first of equals.
    """
    counts, codes = np.asarray(columns.record_counts), np.asarray(columns.record_label)
    keys = _make_keys(columns, labels, counts, codes)
    confidence = np.asarray(columns.confidence)
    order = np.argsort(keys, kind="stable")
    if np.any(np.diff(keys[order]) == 0):
        order = np.lexsort((-confidence, keys))
    kept = order[np.diff(keys[order], prepend=-1) > 0]
    image_idx, label_idx = np.divmod(keys[kept], max(len(labels), 1))
    flags = np.asarray(columns.flags)[kept]
    records = Records(
        offsets=_make_offsets(image_idx, len(columns.images)),
        label_idx=label_idx.astype(np.int32),
        confidence=confidence[kept],
        outcome=find_outcomes(flags),
    )
    return records, flags


def _make_keys(
    columns: ManifestColumns, labels: Sequence[str], counts: IntArray, codes: IntArray
) -> IntArray:
    """One integer for each entry of a column, (n,): rises by image, then by label order."""
    position = {label: i for i, label in enumerate(labels)}
    label_idx = np.array([position.get(name, -1) for name in columns.label_codes], dtype=np.int64)
    image_idx = np.repeat(np.arange(len(columns.images)), counts)
    keys: IntArray = image_idx * len(labels) + label_idx[codes]
    return keys


def _make_offsets(image_idx: IntArray, n_images: int) -> IntArray:
    return np.searchsorted(image_idx, np.arange(n_images + 1)).astype(np.int64)
