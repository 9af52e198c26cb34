"""An evaluation with some of its images, with other label names, or with another's truth."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mlrek.errors import UsageError
from mlrek.evaluation import (
    Boxes,
    Detections,
    Evaluation,
    IntArray,
    LabelSets,
    MaskCounts,
    Records,
    Reported,
)


def select_images(evaluation: Evaluation, image_idx: IntArray) -> Evaluation:
    """The evaluation of the images at `image_idx`, in that order, without reported numbers."""
    return replace(
        evaluation,
        images=tuple(evaluation.images[i] for i in image_idx.tolist()),
        truth=_select_labels(evaluation.truth, image_idx),
        records=_select_records(evaluation.records, image_idx),
        detections=_select_detections(evaluation.detections, image_idx),
        masks=_select_masks(evaluation.masks, image_idx),
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


def _rows_of(offsets: IntArray, image_idx: IntArray) -> tuple[IntArray, IntArray]:
    """The rows of the images, and the offsets of what is taken."""
    counts = np.diff(offsets)[image_idx]
    taken = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(taken[-1]) + np.repeat(offsets[image_idx] - taken[:-1], counts)
    return rows, taken


def _select_labels(truth: LabelSets, image_idx: IntArray) -> LabelSets:
    rows, offsets = _rows_of(truth.offsets, image_idx)
    return LabelSets(offsets=offsets, label_idx=truth.label_idx[rows])


def _select_records(records: Records, image_idx: IntArray) -> Records:
    rows, offsets = _rows_of(records.offsets, image_idx)
    return Records(
        offsets=offsets,
        label_idx=records.label_idx[rows],
        confidence=records.confidence[rows],
        outcome=records.outcome[rows],
    )


def _select_detections(detections: Detections | None, image_idx: IntArray) -> Detections | None:
    if detections is None:
        return None
    return replace(
        detections,
        truth=_select_boxes(detections.truth, image_idx),
        records=_select_boxes(detections.records, image_idx),
        image_sizes=detections.image_sizes[image_idx],
    )


def _select_boxes(boxes: Boxes, image_idx: IntArray) -> Boxes:
    rows, offsets = _rows_of(boxes.offsets, image_idx)
    return Boxes(
        offsets=offsets,
        label_idx=boxes.label_idx[rows],
        boxes_xyxy=boxes.boxes_xyxy[rows],
        confidence=boxes.confidence[rows],
        outcome=boxes.outcome[rows],
    )


def _select_masks(masks: MaskCounts | None, image_idx: IntArray) -> MaskCounts | None:
    if masks is None:
        return None
    order = np.argsort(masks.image_idx, kind="stable")
    starts = np.searchsorted(masks.image_idx[order], np.arange(len(masks.readable) + 1))
    taken, offsets = _rows_of(starts, image_idx)
    rows = order[taken]
    return MaskCounts(
        image_idx=np.repeat(np.arange(len(image_idx)), np.diff(offsets)),
        label_idx=masks.label_idx[rows],
        tp=masks.tp[rows],
        fp=masks.fp[rows],
        fn=masks.fn[rows],
        readable=masks.readable[image_idx],
    )


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
