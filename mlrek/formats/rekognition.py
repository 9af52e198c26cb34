"""Rekognition Custom Labels: manifest and summary of a version -> its evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Evaluation,
    FloatArray,
    IntArray,
    LabelSets,
    Records,
    Task,
    Version,
    order_labels,
)
from mlrek.formats.json_text import show
from mlrek.formats.rekognition_detection import Objects, gather_objects
from mlrek.formats.rekognition_flags import check_flags, find_outcomes
from mlrek.formats.rekognition_manifest import ManifestColumns, ManifestInput, parse_manifest
from mlrek.formats.rekognition_sniff import Role, sniff
from mlrek.formats.rekognition_summary import Summary, SummaryInput, parse_summary

__all__ = [
    "ManifestInput",
    "Role",
    "Summary",
    "SummaryInput",
    "parse_evaluation",
    "parse_summary",
    "sniff",
]

_REPORTED_TOLERANCE = 1e-6  # the service's description of a version has single precision


def parse_evaluation(
    version: Version,
    *,
    manifest: ManifestInput | None = None,
    summary: SummaryInput | None = None,
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
    told = parse_summary(summary.uri, summary.data) if summary else Summary()
    columns = ManifestColumns()
    if manifest is not None:
        columns = parse_manifest(manifest, skip_bad_lines=skip_bad_lines)
    evaluation = _join(version, columns, told)
    described = reported or {}
    return replace(
        evaluation,
        reported=replace(told.reported, aggregate={**described, **told.reported.aggregate}),
        summary=summary.data if summary else b"",
        warnings=(
            *warnings,
            *told.warnings,
            *_check_version(version, told),
            *_check_reported(described, told.reported.aggregate),
            *columns.warnings,
            *evaluation.warnings,
        ),
    )


def _join(version: Version, columns: ManifestColumns, told: Summary) -> Evaluation:
    """What the manifest's records are of decides the task, whatever else its lines hold."""
    if columns.has_found_boxes:
        return _join_objects(version, gather_objects(columns, told.labels), told)
    labels = order_labels(told.labels, _find_labels(columns))
    thresholds = _find_thresholds(labels, told)
    images, truth = tuple(columns.images), _sort_truth(columns, labels)
    records, flags = _sort_records(columns, labels)
    return Evaluation(
        version=version,
        task=_find_task(truth, told),
        labels=labels,
        images=images,
        truth=truth,
        records=records,
        thresholds=thresholds,
        warnings=(
            *_check_repeated(columns, records),
            *check_flags(images, truth, records, flags, thresholds),
        ),
    )


def _join_objects(version: Version, objects: Objects, told: Summary) -> Evaluation:
    n_images = len(objects.images)
    return Evaluation(
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
        warnings=objects.warnings,
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
    return Task.MULTILABEL if told.has_several_labels_an_image else Task.CLASSIFICATION


def _find_labels(columns: ManifestColumns) -> set[str]:
    """The labels that occur; those of lines that were left out do not."""
    n = len(columns.label_codes)
    uses = np.bincount(columns.true_label, minlength=n) + np.bincount(
        columns.record_label, minlength=n
    )
    return {name for name, used in zip(columns.label_codes, uses, strict=True) if used}


def _sort_truth(columns: ManifestColumns, labels: Sequence[str]) -> LabelSets:
    """The true labels of each image, distinct and in label order."""
    counts, codes = np.asarray(columns.true_counts), np.asarray(columns.true_label)
    keys = np.sort(_make_keys(columns, labels, counts, codes))
    keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique is far slower
    image_idx, label_idx = np.divmod(keys, max(len(labels), 1))
    return LabelSets(
        offsets=_make_offsets(image_idx, len(columns.images)), label_idx=label_idx.astype(np.int32)
    )


def _sort_records(
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


def _check_version(version: Version, told: Summary) -> Iterator[str]:
    if told.version_arn not in {"", version.arn, version.copied_from}:
        yield f"the summary is of another version: {show(told.version_arn)}"


def _check_reported(
    described: Mapping[str, float], aggregate: Mapping[str, float]
) -> Iterator[str]:
    for name, value in described.items():
        if abs(value - aggregate.get(name, value)) > _REPORTED_TOLERANCE:
            yield (
                f"the service's description of the version says {name} {value:.9g}, its summary "
                f"{aggregate[name]:.9g}; the summary counts"
            )


def _check_repeated(columns: ManifestColumns, records: Records) -> Iterator[str]:
    """Which records were left out because another one of their image has the same label."""
    left_out = np.asarray(columns.record_counts) - records.counts
    if n := int(left_out.sum()):
        first = columns.images[int(np.argmax(left_out > 0))]
        yield (
            f"{n} of {len(columns.record_label)} records repeat a label of their image and were "
            f"left out, the most confident one counts; first: {show(first)}"
        )
