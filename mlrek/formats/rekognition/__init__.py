"""Rekognition Custom Labels: manifest and summary of a version -> its evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Detections,
    Doubt,
    Evaluation,
    FloatArray,
    IntArray,
    LabelSets,
    Outcome,
    Records,
    Task,
    Version,
    order_labels,
)
from mlrek.formats.columns import (
    ManifestInput,
    add_up,
    find_offsets,
    keep_most_confident,
    make_label_sets,
    place_labels,
    warn_first,
)
from mlrek.formats.doubts import complete_doubts, doubt_foreign, settle_images
from mlrek.formats.json_text import quoted, say_first
from mlrek.formats.lines import Document, check_described, peek_chunks
from mlrek.formats.rekognition.line import (
    IS_ABSENT,
    IS_FALSE_NEGATIVE,
    IS_FALSE_POSITIVE,
    IS_PRESENT,
    IS_TRUE_NEGATIVE,
    IS_TRUE_POSITIVE,
    BoxColumns,
    BoxRows,
)
from mlrek.formats.rekognition.manifest import (
    Answers,
    ManifestColumns,
    is_answers,
    keep_labels,
    parse_answers,
    parse_manifest,
)
from mlrek.formats.rekognition.summary import Summary, parse_summary

NO_SINGLE_FLAG = "do not have exactly one of the four outcome flags"

_OUTCOMES = np.full(16, Outcome.UNKNOWN, dtype=np.uint8)  # by the four flags; two say nothing
_OUTCOMES[IS_TRUE_POSITIVE] = Outcome.TP
_OUTCOMES[IS_FALSE_POSITIVE] = Outcome.FP
_OUTCOMES[IS_FALSE_NEGATIVE] = Outcome.FN
_OUTCOMES[IS_TRUE_NEGATIVE] = Outcome.TN


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


_IMAGES_AT_ONCE = 20_000  # so that what sorting needs on top of the columns does not grow

__all__ = [
    "Document",
    "ManifestInput",
    "Summary",
    "parse_evaluation",
    "parse_summary",
]


def parse_evaluation(
    version: Version,
    *,
    manifest: ManifestInput | None = None,
    summary: Document | None = None,
    reported: Mapping[str, float] | None = None,
    skip_bad_lines: bool = False,
    warnings: Sequence[str] = (),
) -> Evaluation:
    """The evaluation of one version from what there is of it.

    `Evaluation.files` is left empty: sizes and hashes are known to the caller once the manifest's
    last chunk is read.

    Args:
        version: What is known of the version.
        manifest: The evaluation manifest; without it the evaluation has no images.
        summary: The summary file: label order, assumed thresholds, reported numbers.
        reported: Numbers that the service's own description of the version holds; they count
            where the summary has none.
        skip_bad_lines: Leave malformed lines out, counted in a warning, instead of failing.
        warnings: What the caller noticed before; they come first.

    Raises:
        SourceError: A file is not what it should be (mostly as `ParseError`).
        EvaluationError: There is nothing at all.
    """
    if manifest is None and summary is None and not reported:
        raise EvaluationError(f"{version.arn}: no manifest, no summary and no reported number")
    found = parse_summary(summary.uri, summary.data) if summary else Summary()
    told = found if _is_own(version, found) else Summary(warnings=found.warnings)
    described = reported or {}
    if manifest is None and not described and not _is_own(version, found):
        raise EvaluationError(
            f"{version.arn}: there is no manifest, and the summary is of another version: "
            f"{quoted(found.version_arn)}"
        )
    evaluation = _read(version, manifest, told, skip_bad_lines=skip_bad_lines)
    evaluation = replace(
        evaluation,
        reported=replace(told.reported, aggregate={**described, **told.reported.aggregate}),
        summary=summary.data if summary else b"",
        doubts=(*_doubt_summary(version, found, evaluation.task), *evaluation.doubts),
        warnings=(
            *warnings,
            *told.warnings,
            *check_described(described, told.reported.aggregate, what="version", file="summary"),
            *evaluation.warnings,
        ),
    )
    return complete_doubts(evaluation)


def _read(
    version: Version, manifest: ManifestInput | None, told: Summary, *, skip_bad_lines: bool
) -> Evaluation:
    """What the manifest says, or without one what there is to know of labels and task."""
    if manifest is None:
        return _join(version, ManifestColumns(), told)
    head, chunks = peek_chunks(manifest.chunks)
    manifest = replace(manifest, chunks=chunks)
    if is_answers(head):
        answers = parse_answers(manifest, skip_bad_lines=skip_bad_lines)
        return _join_answers(version, answers, told)
    return _join(version, parse_manifest(manifest, skip_bad_lines=skip_bad_lines), told)


def _join_answers(version: Version, answers: Answers, told: Summary) -> Evaluation:
    """An adapter and the model it was adapted from, on the same images."""
    left_out = keep_labels(answers, told.labels)
    adapter, base = answers.adapter, answers.base
    labels = order_labels(told.labels, find_used_labels(adapter) | find_used_labels(base))
    records, _ = sort_records(adapter, labels)
    baseline, _ = sort_records(base, labels)
    evaluation = Evaluation(
        version=version,
        task=Task.MULTILABEL,
        labels=labels,
        images=tuple(adapter.images),
        truth=sort_truth(adapter, labels),
        records=records,
        baseline=baseline,
        thresholds=_find_thresholds(labels, told),
        doubts=tuple(adapter.doubts),
        warnings=(*adapter.warnings, *left_out, *_check_repeated(adapter, records)),
    )
    return settle_images(
        evaluation,
        is_labelled=np.asarray(answers.is_labelled, dtype=np.bool_),
        is_answered=np.asarray(answers.is_answered, dtype=np.bool_),
    )


def _join(version: Version, columns: ManifestColumns, told: Summary) -> Evaluation:
    """What the manifest's records are of decides the task, whatever else its lines hold."""
    if columns.has_found_boxes:
        objects = gather_objects(columns, told.labels)
        return _join_objects(version, objects, told, columns)
    labels = order_labels(told.labels, find_used_labels(columns))
    thresholds = _find_thresholds(labels, told)
    images, truth = tuple(columns.images), sort_truth(columns, labels)
    records, flags = sort_records(columns, labels)
    told_columns, of_columns = columns.told.finish(images)
    evaluation = Evaluation(
        version=version,
        task=_find_task(truth, told),
        labels=labels,
        images=images,
        truth=truth,
        records=records,
        thresholds=thresholds,
        slice_columns=told_columns,
        doubts=tuple(columns.doubts),
        warnings=(
            *columns.warnings,
            *of_columns,
            *_check_repeated(columns, records),
            *check_flags(images, truth, records, flags, thresholds),
        ),
    )
    return settle_images(
        evaluation,
        is_labelled=np.asarray(truth.counts > 0),
        is_answered=np.asarray(records.counts > 0),
        unlabelled=columns.unlabelled,
    )


def _join_objects(
    version: Version, objects: Objects, told: Summary, columns: ManifestColumns
) -> Evaluation:
    n_images = len(objects.images)
    told_columns, of_columns = columns.told.finish(objects.images)
    evaluation = Evaluation(
        version=version,
        task=Task.DETECTION,
        labels=objects.labels,
        images=objects.images,
        truth=objects.truth,
        records=Records(
            offsets=np.zeros(n_images + 1, dtype=np.int64),
            label_idx=np.zeros(0, dtype=np.int32),
            confidence=np.zeros(0),
            outcome=np.zeros(0, dtype=np.uint8),
        ),
        thresholds=_find_thresholds(objects.labels, told),
        detections=objects.detections,
        slice_columns=told_columns,
        doubts=tuple(columns.doubts),
        warnings=(*columns.warnings, *of_columns, *objects.warnings),
    )
    return settle_images(
        evaluation,
        is_labelled=objects.is_labelled,
        is_answered=objects.is_evaluated,
        unlabelled=columns.unlabelled,
    )


def _find_thresholds(labels: Sequence[str], told: Summary) -> FloatArray:
    """The assumed threshold of each label, NaN where the summary has none."""
    scores = told.reported.per_label
    return np.array([scores.get(label, {}).get("threshold", nan) for label in labels], dtype=float)


def _find_task(truth: LabelSets, told: Summary) -> Task:
    """By the images where there are any, else by what the summary's numbers imply."""
    if len(truth.counts):
        return Task.MULTILABEL if truth.counts.max() > 1 else Task.CLASSIFICATION
    if told.is_detection:
        return Task.DETECTION
    return (
        Task.MULTILABEL
        if told.is_adapter or told.has_several_labels_an_image
        else Task.CLASSIFICATION
    )


def _is_own(version: Version, told: Summary) -> bool:
    """Whether a summary is of this version, or does not say of which."""
    return told.version_arn in {"", version.arn, version.copied_from}


def _doubt_summary(version: Version, told: Summary, task: Task) -> Iterator[Doubt]:
    if not _is_own(version, told):
        yield doubt_foreign("summary", told.version_arn, task)


def _check_repeated(columns: ManifestColumns, records: Records) -> Iterator[str]:
    """Which records were left out because another one of their image has the same label."""
    left_out = np.asarray(columns.record_counts) - records.counts
    if n := int(left_out.sum()):
        first = columns.images[int(np.argmax(left_out > 0))]
        what = (
            "records repeat a label of their image and were left out, the most confident one counts"
        )
        yield say_first(n, len(columns.record_label), what, first)


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
        outcome=outcome if is_truth else decode_outcomes(np.asarray(rows.flags)),
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


def decode_outcomes(flags: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outcome that each record's flags name, (n,); `UNKNOWN` where not exactly one does."""
    outcomes: NDArray[np.uint8] = _OUTCOMES[flags & (len(_OUTCOMES) - 1)]
    return outcomes


def check_flags(
    images: tuple[str, ...],
    truth: LabelSets,
    records: Records,
    flags: NDArray[np.uint8],
    thresholds: FloatArray,
) -> Iterator[str]:
    """Yield a counted warning for each way in which flags are missing or disagree."""
    doubts = {
        NO_SINGLE_FLAG: records.outcome == Outcome.UNKNOWN,
        "have flags that contradict confidence and threshold, which count": _contradict_threshold(
            records, thresholds
        ),
        "have flags that contradict the true labels, which count": _contradict_truth(
            truth, records, flags
        ),
    }
    for reason, doubtful in doubts.items():
        yield from warn_first(images, doubtful, f"records {reason}", image_idx=records.image_idx)


def _contradict_threshold(records: Records, thresholds: FloatArray) -> BoolArray:
    """Flagged as predicted below the threshold, or as not predicted above it; equal is neither."""
    assumed = thresholds[records.label_idx]  # NaN where not published: compares as False
    is_predicted = _is_any(records, Outcome.TP, Outcome.FP)
    is_left_out = _is_any(records, Outcome.FN, Outcome.TN)
    below, above = records.confidence < assumed, records.confidence > assumed
    return (is_predicted & below) | (is_left_out & above)


def _contradict_truth(truth: LabelSets, records: Records, flags: NDArray[np.uint8]) -> BoolArray:
    """Flagged as in the truth but not there, or the other way round; only where there is truth."""
    true_keys, keys = _pair_keys(truth), _pair_keys(records)  # both rise
    place = np.searchsorted(true_keys, keys)
    is_true = np.append(true_keys, -1)[place] == keys
    says_true = _is_any(records, Outcome.TP, Outcome.FN) | ((flags & IS_PRESENT) > 0)
    says_untrue = _is_any(records, Outcome.FP, Outcome.TN) | ((flags & IS_ABSENT) > 0)
    has_truth = truth.counts[records.image_idx] > 0
    contradicted: BoolArray = (says_true & ~is_true) | (says_untrue & is_true)
    return contradicted & has_truth


def _is_any(records: Records, one: Outcome, other: Outcome) -> BoolArray:
    is_any: BoolArray = (records.outcome == one) | (records.outcome == other)
    return is_any


def _pair_keys(rows: LabelSets | Records) -> IntArray:
    """One integer for each (image, label) pair."""
    return (rows.image_idx.astype(np.int64) << 32) | rows.label_idx


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
        outcome=decode_outcomes(flags[:n]),
    )
    return records, flags[:n]
