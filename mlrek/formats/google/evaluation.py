"""The evaluation of one version of Google's: numbers, and what was predicted for each image."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import nan

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Detections,
    Doubt,
    DoubtKind,
    Effect,
    Evaluation,
    FloatArray,
    IntArray,
    LabelSets,
    Outcome,
    Records,
    Reported,
    Task,
    order_labels,
)
from mlrek.formats.doubts import complete_doubts, doubt_unanswered, doubt_unlabelled, show_spellings
from mlrek.formats.google.collection import GoogleVersion
from mlrek.formats.google.documents import GoogleRole
from mlrek.formats.google.json import Details
from mlrek.formats.google.metrics import PublishedNumbers
from mlrek.formats.google.predictions import (
    DataInput,
    ImageColumns,
    MlUse,
    PredictionColumns,
    TruthColumns,
    parse_predictions,
    parse_truth,
)
from mlrek.formats.json_text import quoted
from mlrek.metrics.decisions import DEFAULT_THRESHOLD
from mlrek.metrics.doubts import BOX_AREAS
from mlrek.metrics.test_set import doubt_contradicted, doubt_repeated

OpenFile = Callable[[str], Iterable[bytes]]
"""The chunks of a file, by the name it was collected under."""

_LEGACY_MINIMUM = 0.5  # what is below is left out by default in legacy batch predictions
_NO_NUMBERS = PublishedNumbers(
    reported=Reported(), labels=(), label_names={}, task=Task.CLASSIFICATION, is_task_known=False
)
_NO_CODES: IntArray = np.zeros(0, dtype=np.int64)
_NO_IMAGES: IntArray = np.zeros(1, dtype=np.int64)
_NO_TRUTH = LabelSets(offsets=_NO_IMAGES, label_idx=_NO_CODES)
_NO_RECORDS = Records(
    offsets=_NO_IMAGES,
    label_idx=_NO_CODES,
    confidence=np.zeros(0),
    outcome=np.zeros(0, dtype=np.uint8),
)
_UNKNOWN_TASK = (
    "nothing tells whether an image has one label or several; one is assumed (the JSON of the data "
    "set or of the training pipeline would tell)"
)
_OTHER_KIND = (
    "the batch predictions are {predicted}, the evaluation is of {published}: they are of another "
    "model and are not used"
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    """What predictions and ground truth tell; `joined` is None where no image stands in both."""

    task: Task
    joined: Joined | None = None
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()


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


def parse_google(
    found: GoogleVersion, open_file: OpenFile, *, skip_bad_lines: bool = False
) -> Evaluation:
    """The evaluation of one version.

    Google publishes no threshold of its own: `thresholds` are NaN and no record has an outcome, so
    that several labels an image are predicted at the 0.5 of whoever computes.

    Args:
        found: A version that is neither `skipped` nor `refused`.
        open_file: Opens the files with a line per image; documents are read already.
        skip_bad_lines: Leave malformed lines out and count them in a warning.

    Raises:
        EvaluationError: There is nothing to make an evaluation of.
        ParseError: A line is malformed.
    """
    if found.skipped or found.refused:
        raise EvaluationError(f"{found.version.arn}: {found.skipped or found.refused}")
    numbers = found.numbers or _NO_NUMBERS
    images = _read_images(found, numbers, open_file, skip_bad_lines=skip_bad_lines)
    joined = images.joined
    if joined is None and found.numbers is None:
        reason = "; ".join(images.warnings)
        raise EvaluationError(f"{found.version.arn}: no image can be evaluated: {reason}")
    labels = joined.labels if joined else numbers.labels
    evaluation = Evaluation(
        version=found.version,
        task=images.task,
        labels=labels,
        images=joined.images if joined else (),
        truth=joined.truth if joined else _NO_TRUTH,
        records=joined.records if joined else _NO_RECORDS,
        thresholds=np.full(len(labels), nan),
        detections=joined.detections if joined else None,
        reported=numbers.reported,
        summary=found.summary,
        doubts=images.doubts,
        warnings=tuple(dict.fromkeys((*found.warnings, *numbers.warnings, *images.warnings))),
    )
    return complete_doubts(evaluation)


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


def _read_images(
    found: GoogleVersion, numbers: PublishedNumbers, open_file: OpenFile, *, skip_bad_lines: bool
) -> _Images:
    if not found.has_images:
        unknown = found.numbers is not None and not numbers.is_task_known
        return _Images(task=numbers.task, warnings=(_UNKNOWN_TASK,) if unknown else ())

    def open_inputs(role: GoogleRole) -> Iterator[DataInput]:
        return ((name, open_file(name)) for name in found.names_of(role))

    predictions = parse_predictions(
        open_inputs(GoogleRole.PREDICTIONS),
        label_names=numbers.label_names,
        skip_bad_lines=skip_bad_lines,
    )
    is_detection = found.numbers is not None and numbers.task is Task.DETECTION
    if not predictions.label:
        predictions.has_boxes = is_detection  # not one label or box tells
    elif found.numbers is not None and predictions.has_boxes != is_detection:
        kinds = {True: "boxes", False: "labels of whole images"}
        said = _OTHER_KIND.format(
            predicted=kinds[predictions.has_boxes], published=kinds[is_detection]
        )
        return _Images(task=numbers.task, warnings=(said,))
    truth = parse_truth(
        open_inputs(GoogleRole.TRUTH),
        has_boxes=predictions.has_boxes,
        skip_bad_lines=skip_bad_lines,
    )
    joined = join_images(predictions, truth, numbers.labels)
    warnings = (*joined.warnings, *_warn_joined(joined, found.job))
    task = _choose_task(joined, numbers, truth)
    if not joined.images:
        return _Images(task=task, warnings=warnings)
    doubts = (*joined.doubts, *_doubt_kept(joined, task, found.job))
    return _Images(task=task, joined=joined, doubts=doubts, warnings=warnings)


def _choose_task(joined: Joined, numbers: PublishedNumbers, truth: TruthColumns) -> Task:
    """Several labels an image wherever an image has them, or the provider says so."""
    if joined.detections is not None:
        return Task.DETECTION
    if np.any(joined.truth.counts > 1):
        return Task.MULTILABEL
    if numbers.is_task_known:
        return numbers.task
    return Task.MULTILABEL if truth.says_several else Task.CLASSIFICATION


def _warn_joined(joined: Joined, job: Details | None) -> Iterator[str]:
    if not joined.images:
        yield "no image stands in both the batch predictions and the test set of the ground truth"
        return
    n_cells = int(np.count_nonzero(joined.records.counts)) * len(joined.labels)
    n_missing = n_cells - len(joined.records.label_idx)
    if joined.detections is None and n_missing:
        yield (
            f"{n_missing} of {n_cells} confidences (of each label on each predicted image) are "
            f"not in the batch predictions{_say_kept(job)}: they are unknown, not 0; ask the job "
            f"for a confidence threshold of 0 and {len(joined.labels)} predictions an image"
        )


def _doubt_kept(joined: Joined, task: Task, job: Details | None) -> Iterator[Doubt]:
    """That the job left out what it was less sure of."""
    kept, confidence = _say_kept(job), joined.records.confidence
    if joined.detections is not None:
        confidence = joined.detections.records.confidence
        lowest = np.min(confidence, initial=1.0)
        if kept or lowest >= _LEGACY_MINIMUM:
            yield Doubt(
                kind=DoubtKind.RECORDS_PARTIAL,
                text=(
                    f"no predicted box has a confidence below {lowest:g}{kept}: less sure ones are "
                    "probably left out, so average precision is a lower bound"
                ),
                touches=BOX_AREAS,
            )
    if (
        job
        and task is not Task.CLASSIFICATION
        and (job.confidence_threshold or 0) > DEFAULT_THRESHOLD
    ):
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"the batch predictions end above {DEFAULT_THRESHOLD:g}{kept}, from which on "
                "a label counts as predicted: false alarms between the two are not seen"
            ),
            touches=("aggregate/*", "label_*", "at_threshold/*"),
            own_effect=Effect.STOPS,
        )


def _say_kept(job: Details | None) -> str:
    """What a batch prediction was asked to leave out; empty where nothing, or it is not told."""
    if job is None:
        return ""
    said = []
    if job.confidence_threshold:
        said.append(f"confidence threshold {job.confidence_threshold:g}")
    if job.max_predictions:
        said.append(f"at most {job.max_predictions:g} predictions an image")
    return f" (the job kept {' and '.join(said)})" if said else ""


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
        matches.missed.append(f"{quoted(image)}: {said}" if said else quoted(image))
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
        rows = _Rows(
            n_images=rows.n_images, image_idx=_NO_CODES, label_idx=_NO_CODES, source=_NO_CODES
        )
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
            yield f"{len(images)} {what}; first: {quoted(images[0])}"


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
