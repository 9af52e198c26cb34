"""Batch predictions and ground truth, joined by the image's URI -> the columns of an evaluation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
    Records,
    order_labels,
)
from mlrek.formats.google_columns import ImageColumns
from mlrek.formats.google_predictions import PredictionColumns
from mlrek.formats.google_truth import MlUse, TruthColumns
from mlrek.formats.json_text import show

_NONE: IntArray = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What was predicted for the test images whose truth is known."""

    labels: tuple[str, ...]
    images: tuple[str, ...]
    truth: LabelSets
    records: Records
    detections: Detections | None
    warnings: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Matches:
    """Rows of the predictions and of the truth that belong together; other images by their fate."""

    predicted: list[int]
    true: list[int]
    repeated: list[str]
    not_test: list[str]
    unknown: list[str]
    failed: list[str]
    missing: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Labels of the joined images, (n,) each; `source` are their places in the file's columns."""

    n_images: int
    image_idx: IntArray
    label_idx: IntArray
    source: IntArray


def join_images(
    predictions: PredictionColumns, truth: TruthColumns, published: Sequence[str]
) -> Joined:
    """The images that stand in both, in the order of the predictions.

    The test set are the images that the truth marks as such; where it marks none, all that it does
    not mark as training or validation. What stands in one file only is counted in a warning.

    Args:
        predictions: The batch predictions.
        truth: The ground truth, boxes exactly when the predictions are boxes.
        published: The labels in the provider's order; further ones follow alphabetically.
    """
    uses = np.asarray(truth.use)
    is_test = uses == (MlUse.TEST if np.any(uses == MlUse.TEST) else MlUse.UNKNOWN)
    matches = _match(predictions, truth, is_test)
    true, found = _take(truth, matches.true), _take(predictions, matches.predicted)
    labels = order_labels(published, _names(truth, true) | _names(predictions, found))
    true, found = _recode(truth, true, labels), _recode(predictions, found, labels)
    records, n_repeated = _make_records(predictions, found)
    detections = _make_detections(predictions, truth, found, true)
    return Joined(
        labels=labels,
        images=tuple(predictions.images[i] for i in matches.predicted),
        truth=_make_label_sets(true),
        records=records,
        detections=detections,
        warnings=(
            *truth.warnings,
            *predictions.warnings,
            *_warn_matches(matches),
            *_warn_uses(uses, is_test),
            *_warn_repeated_labels(n_repeated),
        ),
    )


def _match(predictions: PredictionColumns, truth: TruthColumns, is_test: BoolArray) -> _Matches:
    rows = {image: i for i, image in enumerate(truth.images)}
    matches = _Matches(
        predicted=[], true=[], repeated=[], not_test=[], unknown=[], failed=[], missing=[]
    )
    seen: set[str] = set()
    for i, image in enumerate(predictions.images):
        row = rows.get(image)
        if image in seen:
            matches.repeated.append(image)
        elif row is None:
            matches.unknown.append(image)
        elif not is_test[row]:
            matches.not_test.append(image)
        else:
            matches.predicted.append(i)
            matches.true.append(row)
        seen.add(image)
    for image, row in rows.items():
        if is_test[row] and image not in seen:
            (matches.failed if image in predictions.failed else matches.missing).append(image)
    return matches


def _take(columns: ImageColumns, rows: list[int]) -> _Rows:
    """The labels of some images; codes are still the file's own."""
    ends = np.cumsum(np.asarray(columns.counts, dtype=np.int64))
    chosen = np.array(rows, dtype=np.int64)
    counts = np.asarray(columns.counts, dtype=np.int64)[chosen]
    image_idx = np.repeat(np.arange(len(rows)), counts)
    before = np.cumsum(counts) - counts  # labels of the images that stand before, joined
    source = np.arange(counts.sum()) + np.repeat(ends[chosen] - counts - before, counts)
    return _Rows(
        n_images=len(rows),
        image_idx=image_idx,
        label_idx=np.asarray(columns.label, dtype=np.int64)[source],
        source=source,
    )


def _names(columns: ImageColumns, rows: _Rows) -> set[str]:
    names = list(columns.label_codes)
    return {names[code] for code in np.unique(rows.label_idx)}


def _recode(columns: ImageColumns, rows: _Rows, labels: Sequence[str]) -> _Rows:
    """The same rows with codes that are positions in `labels`."""
    position = {label: i for i, label in enumerate(labels)}
    codes = np.array([position.get(name, -1) for name in columns.label_codes], dtype=np.int64)
    return replace(rows, label_idx=codes[rows.label_idx])


def _make_label_sets(rows: _Rows) -> LabelSets:
    """The distinct true labels of each image."""
    n_labels = int(rows.label_idx.max(initial=0)) + 1
    keys = np.unique(rows.image_idx * n_labels + rows.label_idx)
    return LabelSets(offsets=_offsets(keys // n_labels, rows.n_images), label_idx=keys % n_labels)


def _make_records(columns: PredictionColumns, rows: _Rows) -> tuple[Records, int]:
    """A record for each label of an image, and how many stood there again with less confidence."""
    if columns.has_boxes:
        rows = _Rows(n_images=rows.n_images, image_idx=_NONE, label_idx=_NONE, source=_NONE)
    confidence = np.asarray(columns.confidence, dtype=np.float64)[rows.source]
    key = rows.image_idx * (rows.label_idx.max(initial=0) + 1) + rows.label_idx
    order = np.argsort(key, kind="stable")
    is_first = np.concatenate((np.ones(min(len(key), 1), dtype=np.bool_), np.diff(key[order]) != 0))
    if not np.all(is_first):
        order = np.lexsort((-confidence, key))  # slower, and seldom needed
    image_idx, label_idx = rows.image_idx[order], rows.label_idx[order]
    n = int(is_first.sum())
    records = Records(
        offsets=_offsets(image_idx[is_first], rows.n_images),
        label_idx=label_idx[is_first],
        confidence=confidence[order][is_first],
        outcome=np.full(n, Outcome.UNKNOWN, dtype=np.uint8),
    )
    return records, len(order) - n


def _make_detections(
    predictions: PredictionColumns, truth: TruthColumns, found: _Rows, true: _Rows
) -> Detections | None:
    if not predictions.has_boxes:
        return None
    confidence = np.asarray(predictions.confidence, dtype=np.float64)[found.source]
    return Detections(
        truth=_make_boxes(truth, true, np.full(len(true.source), nan)),
        records=_make_boxes(predictions, found, confidence),
        image_sizes=np.full((true.n_images, 2), nan),
        normalized=True,
    )


def _make_boxes(columns: ImageColumns, rows: _Rows, confidence: FloatArray) -> Boxes:
    boxes = np.asarray(columns.boxes, dtype=np.float64).reshape(-1, 4)
    return Boxes(
        offsets=_offsets(rows.image_idx, rows.n_images),
        label_idx=rows.label_idx,
        boxes_xyxy=boxes[rows.source],
        confidence=confidence,
        outcome=np.full(len(rows.source), Outcome.UNKNOWN, dtype=np.uint8),
    )


def _offsets(image_idx: IntArray, n_images: int) -> IntArray:
    return np.concatenate(([0], np.cumsum(np.bincount(image_idx, minlength=n_images))))


def _warn_matches(matches: _Matches) -> Iterator[str]:
    for images, what in (
        (matches.missing, "test images of the ground truth have no prediction and are left out"),
        (matches.failed, "test images could not be predicted, so the job says, and are left out"),
        (matches.unknown, "predicted images are not in the ground truth and are left out"),
        (matches.not_test, "predicted images are no test images by the truth and are left out"),
        (matches.repeated, "predictions are of an image predicted before; the first one counts"),
    ):
        if images:
            yield f"{len(images)} {what}; first: {show(images[0])}"


def _warn_uses(uses: IntArray, is_test: BoolArray) -> Iterator[str]:
    if not np.any(is_test):
        yield "the ground truth holds no test image: all are marked as training or validation"
    elif not np.any(uses == MlUse.TEST):
        yield (
            f"the ground truth does not tell which images are the test set; all {is_test.sum()} "
            "that are not marked as training or validation stand for it"
        )
    elif n_unknown := int(np.sum(uses == MlUse.UNKNOWN)):
        yield (
            f"{n_unknown} images of the ground truth are not marked as training, validation or "
            "test (Google may have chosen for them) and are left out"
        )


def _warn_repeated_labels(n_repeated: int) -> Iterator[str]:
    if n_repeated:
        yield (
            f"{n_repeated} predictions repeat a label of their image; its highest confidence counts"
        )
