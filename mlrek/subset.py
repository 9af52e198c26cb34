"""An evaluation of some of its images; all else about it stays."""

from dataclasses import replace

import numpy as np

from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Contents,
    Detections,
    Evaluation,
    IntArray,
    LabelSets,
    MaskCounts,
    Records,
)


def take_images(evaluation: Evaluation, image_idx: IntArray) -> Evaluation:
    """The evaluation of the images at `image_idx`, in that order."""
    return replace(
        evaluation,
        images=tuple(evaluation.images[i] for i in image_idx.tolist()),
        truth=_take_labels(evaluation.truth, image_idx),
        records=_take_records(evaluation.records, image_idx),
        detections=_take_detections(evaluation.detections, image_idx),
        masks=_take_masks(evaluation.masks, image_idx),
        baseline=_take_baseline(evaluation.baseline, image_idx),
        seen_in_training=_take_seen(evaluation.seen_in_training, image_idx),
        contents=_take_contents(evaluation.contents, image_idx),
    )


def _take_labels(truth: LabelSets, image_idx: IntArray) -> LabelSets:
    rows, offsets = take_rows(truth.offsets, image_idx)
    return LabelSets(offsets=offsets, label_idx=truth.label_idx[rows])


def _take_records(records: Records, image_idx: IntArray) -> Records:
    rows, offsets = take_rows(records.offsets, image_idx)
    return Records(
        offsets=offsets,
        label_idx=records.label_idx[rows],
        confidence=records.confidence[rows],
        outcome=records.outcome[rows],
    )


def _take_baseline(baseline: Records | None, image_idx: IntArray) -> Records | None:
    return None if baseline is None else _take_records(baseline, image_idx)


def _take_detections(detections: Detections | None, image_idx: IntArray) -> Detections | None:
    if detections is None:
        return None
    return replace(
        detections,
        truth=_take_boxes(detections.truth, image_idx),
        records=_take_boxes(detections.records, image_idx),
        image_sizes=detections.image_sizes[image_idx],
    )


def _take_boxes(boxes: Boxes, image_idx: IntArray) -> Boxes:
    rows, offsets = take_rows(boxes.offsets, image_idx)
    return Boxes(
        offsets=offsets,
        label_idx=boxes.label_idx[rows],
        boxes_xyxy=boxes.boxes_xyxy[rows],
        confidence=boxes.confidence[rows],
        outcome=boxes.outcome[rows],
    )


def _take_masks(masks: MaskCounts | None, image_idx: IntArray) -> MaskCounts | None:
    if masks is None:
        return None
    order = np.argsort(masks.image_idx, kind="stable")
    starts = np.searchsorted(masks.image_idx[order], np.arange(len(masks.readable) + 1))
    taken, offsets = take_rows(starts, image_idx)
    rows = order[taken]
    sketches = enumerate(map(masks.sketches.get, image_idx.tolist()))
    return MaskCounts(
        image_idx=np.repeat(np.arange(len(image_idx)), np.diff(offsets)),
        label_idx=masks.label_idx[rows],
        tp=masks.tp[rows],
        fp=masks.fp[rows],
        fn=masks.fn[rows],
        readable=masks.readable[image_idx],
        sketches={image: sketch for image, sketch in sketches if sketch is not None},
    )


def _take_seen(seen: BoolArray | None, image_idx: IntArray) -> BoolArray | None:
    return None if seen is None else seen[image_idx]


def _take_contents(contents: Contents | None, image_idx: IntArray) -> Contents | None:
    if contents is None:
        return None
    places = image_idx.tolist()
    return Contents(
        sizes=contents.sizes[image_idx],
        etags=tuple(contents.etags[i] for i in places),
        is_md5=contents.is_md5[image_idx],
        sha256=tuple(contents.sha256[i] for i in places),
        modified_ms=contents.modified_ms[image_idx],
    )


def take_rows(offsets: IntArray, image_idx: IntArray) -> tuple[IntArray, IntArray]:
    """The rows of the images, and the offsets of what is taken."""
    counts = np.diff(offsets)[image_idx]
    taken = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(taken[-1]) + np.repeat(offsets[image_idx] - taken[:-1], counts)
    return rows, taken
