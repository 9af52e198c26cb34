"""The boxes of a Rekognition manifest, put in order: true ones and those that the service found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Detections,
    FloatArray,
    IntArray,
    LabelSets,
    Outcome,
    order_labels,
)
from mlrek.formats.columns import find_offsets, make_label_sets, place_labels, warn_first
from mlrek.formats.rekognition_boxes import BoxColumns, BoxRows
from mlrek.formats.rekognition_flags import NO_SINGLE_FLAG, find_outcomes
from mlrek.formats.rekognition_manifest import ManifestColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Everything a manifest says about objects; `truth` are the distinct labels of true boxes.

    `is_labelled` and `is_evaluated` (n_images,) tell where anything is said of true boxes or true
    labels, and of boxes that the service found, be it that there are none.
    """

    labels: tuple[str, ...]
    images: tuple[str, ...]
    truth: LabelSets
    detections: Detections
    is_labelled: BoolArray
    is_evaluated: BoolArray
    warnings: tuple[str, ...]


def gather_objects(columns: ManifestColumns, published: Sequence[str]) -> Objects:
    """The boxes of a manifest by image, each image's in the order of its line.

    Args:
        columns: The manifest of a model that finds objects.
        published: The labels in the provider's order; further ones follow alphabetically.
    """
    boxes, names, n_images = columns.boxes, tuple(columns.label_codes), len(columns.images)
    used = {names[code] for code in {*boxes.truth.label, *boxes.records.label}}
    labels = order_labels(published, used)
    label_idx = place_labels(names, labels).astype(np.int32)
    detections = Detections(
        truth=_make_boxes(boxes.truth, label_idx, n_images),
        records=_make_boxes(boxes.records, label_idx, n_images),
        image_sizes=_find_sizes(boxes, n_images),
    )
    has_labels = np.asarray(columns.true_counts) > 0
    return Objects(
        labels=labels,
        images=tuple(columns.images),
        truth=make_label_sets(
            detections.truth.image_idx,
            detections.truth.label_idx,
            n_images=n_images,
            n_labels=len(labels),
        ),
        detections=detections,
        is_labelled=_mark(boxes.truth, n_images) | has_labels,
        is_evaluated=_mark(boxes.records, n_images),
        warnings=(
            *_warn_images(columns, detections),
            *_warn_flags(columns.images, detections.records),
        ),
    )


def _make_boxes(rows: BoxRows, label_idx: IntArray, n_images: int) -> Boxes:
    image_idx, n = np.asarray(rows.image), len(rows.image)
    is_truth = not len(rows.confidence)
    outcome = np.full(n, Outcome.UNKNOWN, dtype=np.uint8)
    return Boxes(
        offsets=find_offsets(image_idx, n_images),
        label_idx=label_idx[np.asarray(rows.label)],
        boxes_xyxy=np.asarray(rows.corners, dtype=np.float64).reshape(n, 4),
        confidence=np.full(n, nan) if is_truth else np.asarray(rows.confidence),
        outcome=outcome if is_truth else find_outcomes(np.asarray(rows.flags)),
    )


def _mark(rows: BoxRows, n_images: int) -> BoolArray:
    """Which images have an attribute of boxes, be it empty."""
    has_attribute = np.zeros(n_images, dtype=np.bool_)
    has_attribute[np.asarray(rows.attributes)] = True
    return has_attribute


def _find_sizes(boxes: BoxColumns, n_images: int) -> FloatArray:
    """Width and height of each image, (n_images, 2), as the first attribute that tells has them."""
    sizes = np.full((n_images, 2), nan)
    image_idx = np.asarray(boxes.size_image)[::-1]
    told = np.asarray(boxes.sizes).reshape(-1, 2)[::-1]
    is_known = ~np.isnan(told).any(axis=1)
    sizes[image_idx[is_known]] = told[is_known]  # of several the last counts: the file's first
    return sizes


def _warn_images(columns: ManifestColumns, detections: Detections) -> Iterator[str]:
    has_boxes = np.diff(detections.truth.offsets) > 0
    has_labels = np.asarray(columns.true_counts) > 0
    has_records = np.asarray(columns.record_counts) > 0
    reasons = {
        "have true labels but no true boxes: whatever is found on them counts as false": (
            has_labels & ~has_boxes
        ),
        "have records of the image as a whole, which are left out: only boxes count": has_records,
    }
    for reason, concerned in reasons.items():
        yield from warn_first(columns.images, concerned, f"images {reason}")


def _warn_flags(images: Sequence[str], records: Boxes) -> Iterator[str]:
    is_unclear = records.outcome == Outcome.UNKNOWN
    what = f"recorded boxes {NO_SINGLE_FLAG}"
    yield from warn_first(images, is_unclear, what, image_idx=records.image_idx)
