"""Columns of a manifest in file order -> the truth and records of an evaluation, in label order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray, IntArray, LabelSets, Records
from mlrek.formats.rekognition_flags import find_outcomes
from mlrek.formats.rekognition_manifest import ManifestColumns

_IMAGES_AT_ONCE = 20_000  # so that what sorting needs beside the columns does not grow


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
    counts, n_records = np.asarray(columns.record_counts), len(columns.record_label)
    starts = np.append(0, np.cumsum(counts, dtype=np.int64))
    confidence, flags = np.empty(n_records), np.empty(n_records, dtype=np.uint8)
    label_idx = np.empty(n_records, dtype=np.int32)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    for first in range(0, len(counts), _IMAGES_AT_ONCE):
        last = min(first + _IMAGES_AT_ONCE, len(counts))
        rows = slice(starts[first], starts[last])
        own = np.asarray(columns.confidence)[rows]
        codes = np.asarray(columns.record_label)[rows]
        keys = _make_keys(columns, labels, counts[first:last], codes)
        kept = _keep_most_confident(keys, own)
        image_idx, label = np.divmod(keys[kept], max(len(labels), 1))
        done = offsets[first]
        offsets[first : last + 1] = done + _make_offsets(image_idx, last - first)
        written = slice(done, done + len(kept))
        label_idx[written], confidence[written] = label, own[kept]
        flags[written] = np.asarray(columns.flags)[rows][kept]
    n = offsets[-1]
    records = Records(
        offsets=offsets,
        label_idx=label_idx[:n],
        confidence=confidence[:n],
        outcome=find_outcomes(flags[:n]),
    )
    return records, flags[:n]


def _keep_most_confident(keys: IntArray, confidence: FloatArray) -> IntArray:
    """Which records are kept, in the order of their keys: one of each key."""
    order = np.argsort(keys, kind="stable")
    if np.any(np.diff(keys[order]) == 0):
        order = np.lexsort((-confidence, keys))
    kept: IntArray = order[np.diff(keys[order], prepend=-1) > 0]
    return kept


def _make_keys(
    columns: ManifestColumns, labels: Sequence[str], counts: IntArray, codes: IntArray
) -> IntArray:
    """One integer for each entry of a column, (n,): rises by image, then by label order."""
    position = {label: i for i, label in enumerate(labels)}
    label_idx = np.array([position.get(name, -1) for name in columns.label_codes], dtype=np.int64)
    image_idx = np.repeat(np.arange(len(counts)), counts)
    keys: IntArray = image_idx * len(labels) + label_idx[codes]
    return keys


def _make_offsets(image_idx: IntArray, n_images: int) -> IntArray:
    return np.searchsorted(image_idx, np.arange(n_images + 1)).astype(np.int64)
