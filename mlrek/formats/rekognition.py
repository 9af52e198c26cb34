"""Rekognition Custom Labels: manifest and summary of a version -> its evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Doubt,
    Evaluation,
    FloatArray,
    LabelSets,
    Records,
    Task,
    Version,
    order_labels,
)
from mlrek.formats.columns import ManifestInput
from mlrek.formats.described import Document, check_described
from mlrek.formats.doubts import complete_doubts, doubt_foreign, settle_images
from mlrek.formats.json_text import say_first, show
from mlrek.formats.lines import peek_chunks
from mlrek.formats.moderation import Answers, is_answers, keep_labels, parse_answers
from mlrek.formats.rekognition_detection import Objects, gather_objects
from mlrek.formats.rekognition_flags import check_flags
from mlrek.formats.rekognition_manifest import ManifestColumns, parse_manifest
from mlrek.formats.rekognition_sorting import find_used_labels, sort_records, sort_truth
from mlrek.formats.rekognition_summary import Summary, parse_summary

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
            f"{show(found.version_arn)}"
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
    evaluation = Evaluation(
        version=version,
        task=_find_task(truth, told),
        labels=labels,
        images=images,
        truth=truth,
        records=records,
        thresholds=thresholds,
        doubts=tuple(columns.doubts),
        warnings=(
            *columns.warnings,
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
        doubts=tuple(columns.doubts),
        warnings=(*columns.warnings, *objects.warnings),
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
