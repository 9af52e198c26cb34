"""An evaluation with some of its images, with other label names, or with another's truth."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mlrek.errors import UsageError
from mlrek.evaluation import Evaluation, IntArray, LabelSets, Records, Reported
from mlrek.subset import take_images


def select_images(evaluation: Evaluation, image_idx: IntArray) -> Evaluation:
    """The evaluation of the images at `image_idx`, in that order, without reported numbers."""
    return replace(
        take_images(evaluation, image_idx),
        baseline=None,
        seen_in_training=None,
        reported=Reported(),
        warnings=(),
    )


def rename_labels(evaluation: Evaluation, names: Mapping[str, str]) -> Evaluation:
    """The evaluation with labels renamed; labels that `names` does not hold keep theirs.

    Raises:
        UsageError: Two labels would share a name.
    """
    labels = tuple(names.get(label, label) for label in evaluation.labels)
    if len(set(labels)) < len(labels):
        again = next(label for label in labels if labels.count(label) > 1)
        raise UsageError(
            f"the label map gives two labels of {evaluation.version.arn} the name {again!r}; "
            "labels can be renamed, not merged"
        )
    reported = evaluation.reported
    per_label = {names.get(name, name): scores for name, scores in reported.per_label.items()}
    return replace(
        evaluation,
        labels=labels,
        pos_label=names.get(evaluation.pos_label, evaluation.pos_label),
        reported=replace(reported, per_label=per_label),
    )


def recode_labels(evaluation: Evaluation, labels: tuple[str, ...]) -> Evaluation:
    """The evaluation with its labels in the order of `labels`, which must hold all of them."""
    places = {label: code for code, label in enumerate(labels)}
    codes = np.array([places[label] for label in evaluation.labels], dtype=np.int64)
    thresholds = np.full(len(labels), np.nan)
    thresholds[codes] = evaluation.thresholds
    detections, masks = evaluation.detections, evaluation.masks
    if detections is not None:
        detections = replace(
            detections,
            truth=replace(detections.truth, label_idx=codes[detections.truth.label_idx]),
            records=replace(detections.records, label_idx=codes[detections.records.label_idx]),
        )
    if masks is not None:
        masks = replace(masks, label_idx=codes[masks.label_idx])
    return replace(
        evaluation,
        labels=labels,
        thresholds=thresholds,
        truth=_recode_sets(evaluation.truth, codes),
        records=_recode_records(evaluation.records, codes),
        detections=detections,
        masks=masks,
        baseline=None,
        reported=Reported(),
    )


def with_truth_of(evaluation: Evaluation, other: Evaluation) -> Evaluation:
    """The evaluation with the truth of another one of the same images and label codes."""
    detections = evaluation.detections
    if detections is not None and other.detections is not None:
        detections = replace(detections, truth=other.detections.truth)
    return replace(evaluation, truth=other.truth, detections=detections)


def _recode_sets(truth: LabelSets, codes: IntArray) -> LabelSets:
    order = np.lexsort((codes[truth.label_idx], truth.image_idx))
    return LabelSets(offsets=truth.offsets, label_idx=codes[truth.label_idx][order])


def _recode_records(records: Records, codes: IntArray) -> Records:
    order = np.lexsort((codes[records.label_idx], records.image_idx))
    return Records(
        offsets=records.offsets,
        label_idx=codes[records.label_idx][order],
        confidence=records.confidence[order],
        outcome=records.outcome[order],
    )
