"""Batch predictions and ground truth, joined by the image's URI -> the columns of an evaluation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import nan

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Detections,
    Doubt,
    FloatArray,
    IntArray,
    LabelSets,
    Outcome,
    Records,
    order_labels,
)
from mlrek.formats.doubts import doubt_unanswered, doubt_unlabelled, show_spellings
from mlrek.formats.google.predictions import ImageColumns, MlUse, PredictionColumns, TruthColumns
from mlrek.formats.json_text import show
from mlrek.metrics.test_set import doubt_contradicted, doubt_repeated

_NONE: IntArray = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What was predicted for the test images whose truth is known; one may stand there twice."""

    labels: tuple[str, ...]
    images: tuple[str, ...]
    truth: LabelSets
    records: Records
    detections: Detections | None
    doubts: tuple[Doubt, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Matches:
    """Rows of the predictions (-1: none) and of the truth that belong together, and other images.

    Of the test images `missed` have no prediction, with what is said of them, and `unlabelled` are
    left out, as are `unmarked` ones without a prediction, which may be none. Of predicted images
    `unknown` are not in the truth, and `not_test` are no test images.
    """

    predicted: list[int] = field(default_factory=list)
    true: list[int] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    unmarked: list[str] = field(default_factory=list)
    not_test: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


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
    """The test images, in the order of the predictions; then those without one, which are misses.

    The test set are the images that the truth marks as such; where it marks none, all that it does
    not mark as training or validation, and that have a prediction or could not be predicted. Other
    images that stand in one file only are counted in a warning.

    Args:
        predictions: The batch predictions.
        truth: The ground truth, boxes exactly when the predictions are boxes.
        published: The labels in the provider's order; further ones follow alphabetically.

    Raises:
        EvaluationError: Predictions and truth have no image in common.
    """
    _check_common(predictions, truth)
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
        images=tuple(truth.images[i] for i in matches.true),
        truth=_make_label_sets(true),
        records=records,
        detections=detections,
        doubts=(*truth.doubts, *predictions.doubts, *_doubt_matches(matches, truth, is_test)),
        warnings=(
            *_warn_matches(matches),
            *_warn_uses(uses, is_test),
            *_warn_repeated_labels(n_repeated),
        ),
    )


def _check_common(predictions: PredictionColumns, truth: TruthColumns) -> None:
    """Refuse predictions of other images, which are no proof that a model is always wrong."""
    known = {*truth.images, *truth.contradicted}
    predicted = [*predictions.images, *predictions.failed]
    if predicted and known and known.isdisjoint(predicted):
        raise EvaluationError(
            "not one predicted image is one of the ground truth: "
            f"{show_spellings(predicted, truth.images or sorted(known))}"
        )


def _match(predictions: PredictionColumns, truth: TruthColumns, is_test: BoolArray) -> _Matches:
    rows = {image: i for i, image in enumerate(truth.images)}
    matches, seen = _Matches(), set[str]()
    for i, image in enumerate(predictions.images):
        row = rows.get(image)
        seen.add(image)
        if row is None:
            matches.unknown += [] if image in truth.contradicted else [image]
        elif not is_test[row]:
            matches.not_test.append(image)
        elif truth.is_labelled[row]:
            matches.predicted.append(i)
            matches.true.append(row)
    tested = np.flatnonzero(is_test).tolist()
    matches.unlabelled += [truth.images[row] for row in tested if not truth.is_labelled[row]]
    if matches.predicted or not predictions.images:
        rest = [row for row in tested if truth.is_labelled[row] and truth.images[row] not in seen]
        _match_unpredicted(matches, predictions, truth, rest)
    return matches


def _match_unpredicted(
    matches: _Matches, predictions: PredictionColumns, truth: TruthColumns, rows: list[int]
) -> None:
    """Sort the test images without a prediction: a miss needs a mark, or a message of the job."""
    for row in rows:
        image = truth.images[row]
        if image not in predictions.failed and truth.use[row] != MlUse.TEST:
            matches.unmarked.append(image)
            continue
        said = predictions.failed.get(image)
        matches.missed.append(f"{show(image)}: {said}" if said else show(image))
        matches.predicted.append(-1)
        matches.true.append(row)


def _take(columns: ImageColumns, rows: list[int]) -> _Rows:
    """The labels of some images (-1: one without any); codes are still the file's own."""
    own = np.append(np.asarray(columns.counts, dtype=np.int64), 0)
    ends, chosen = np.cumsum(own), np.array(rows, dtype=np.int64)
    counts = own[chosen]
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


def _doubt_matches(matches: _Matches, truth: TruthColumns, is_test: BoolArray) -> Iterator[Doubt]:
    n_images = len(set(matches.true))
    yield from doubt_unanswered(matches.missed, n_images)
    yield from doubt_unlabelled(matches.unlabelled, n_images + len(matches.unlabelled))
    part = MlUse.TEST if np.any(np.asarray(truth.use)[is_test] == MlUse.TEST) else MlUse.UNKNOWN
    contradicted = [image for image, use in truth.contradicted.items() if use == part]
    yield from doubt_contradicted(contradicted, n_images + len(contradicted))
    tested = (truth.images[i] for i in dict.fromkeys(matches.true))
    repeated = [image for image in tested if image in truth.repeated]
    yield from doubt_repeated(repeated, n_images, "in the ground truth")


def _warn_matches(matches: _Matches) -> Iterator[str]:
    unmarked = "have neither a prediction nor a mark as test images, and are left out"
    for images, what in (
        (matches.unmarked, f"images of the ground truth {unmarked}"),
        (matches.unknown, "predicted images are not in the ground truth and are left out"),
        (matches.not_test, "predicted images are no test images by the truth and are left out"),
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
