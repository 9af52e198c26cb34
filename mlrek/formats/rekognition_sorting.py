"""Columns of a manifest in file order -> the truth and records of an evaluation, in label order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import LabelSets, Records
from mlrek.formats.columns import (
    add_up,
    find_offsets,
    keep_most_confident,
    make_label_sets,
    place_labels,
)
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
    n_images, label_idx = len(columns.images), place_labels(columns.label_codes, labels)
    return make_label_sets(
        np.repeat(np.arange(n_images), columns.true_counts),
        label_idx[np.asarray(columns.true_label)],
        n_images=n_images,
        n_labels=len(labels),
    )


def sort_records(
    columns: ManifestColumns, labels: Sequence[str]
) -> tuple[Records, NDArray[np.uint8]]:
    """The records of each image in label order, and their flags.

    Of several records of one label the most confident is kept, the first of equals.
    """
    counts, n_records = np.asarray(columns.record_counts), len(columns.record_label)
    starts, position = add_up(counts), place_labels(columns.label_codes, labels)
    confidence, flags = np.empty(n_records), np.empty(n_records, dtype=np.uint8)
    label_idx = np.empty(n_records, dtype=np.int32)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    for first in range(0, len(counts), _IMAGES_AT_ONCE):
        last = min(first + _IMAGES_AT_ONCE, len(counts))
        rows = slice(starts[first], starts[last])
        own = np.asarray(columns.confidence)[rows]
        images = np.repeat(np.arange(last - first), counts[first:last])
        keys = images * len(labels) + position[np.asarray(columns.record_label)[rows]]
        kept = keep_most_confident(keys, own)
        image_idx, label = np.divmod(keys[kept], max(len(labels), 1))
        done = offsets[first]
        offsets[first : last + 1] = done + find_offsets(image_idx, last - first)
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
