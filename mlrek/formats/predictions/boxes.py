"""True and predicted boxes in one form, and whether they can be boxes of the same images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import BoolArray, Boxes, Detections, FloatArray, IntArray
from mlrek.formats.json_text import quoted, say_first
from mlrek.formats.predictions import Answers
from mlrek.formats.predictions.masks import check_mask_sizes
from mlrek.formats.truth import GroundTruth
from mlrek.metrics.detection.matching import BoxTable, pair_boxes
from mlrek.metrics.test_set import take_boxes

_NO_SIZE: Final = (
    "one side writes pixels and the other shares of the image, so give width and height of the "
    "images in one of the files"
)
_SHARES_END: Final = 1.5
"""Boxes of pixels that all lie within so many are shares: some reach over the edge."""
_BEYOND: Final = 0.05
"""Of the image's size: a box may reach so far over its edge."""

_OVERLAP: Final = 0.5
_FEW: Final = 0.1
"""Share of the true boxes with an overlap, below which that is worth a line."""
_MANY: Final = 0.3
_FAR_MORE: Final = 3
"""What another reading of the numbers must give, and how many times as much as theirs."""
_MIN_BOXES: Final = 5
_MAX_IMAGES: Final = 1_000
_MAX_ON_IMAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """True and predicted boxes, in pixels or shares; `sizes` (n_images, 2), NaN where unknown."""

    truth: Boxes
    found: Boxes
    sizes: FloatArray
    normalized: bool


def place_boxes(
    truth: GroundTruth, answers: Answers, answer: IntArray
) -> tuple[Detections, tuple[str, ...]]:
    """True and predicted boxes in the form of the true ones, with their own label codes.

    Args:
        truth: The images, with boxes.
        answers: With boxes.
        answer: The answer of each image, (n_images,), -1 for none.

    Returns:
        The boxes, and what is to be said of them.

    Raises:
        EvaluationError: One side has pixels, the other shares, and sizes of images are unknown; or
            the boxes are of another form or scale than the file says.
    """
    assert truth.boxes is not None  # noqa: S101 - for the type checker: the task says so
    assert answers.boxes is not None  # noqa: S101 - same
    offsets = answers.boxes.offsets
    found = take_boxes(replace(answers.boxes, offsets=np.append(offsets, offsets[-1])), answer)
    for side, boxes in (("truth", truth.boxes), ("predictions", found)):
        _check_corners(side, boxes, truth.images)
    normalized, said = _find_forms(truth, answers, truth.boxes, found)
    sizes = _merge_sizes(truth, answers, answer)
    if normalized[0] != normalized[1]:
        found = _scale(found, sizes, truth.images, to_pixels=normalized[1])
    sides = _Sides(truth=truth.boxes, found=found, sizes=sizes, normalized=normalized[0])
    outside = [*_warn_outside(sides, truth.images)]
    far = [*_warn_overlap(sides)]
    detections = Detections(
        truth=sides.truth, records=found, image_sizes=sizes, normalized=sides.normalized
    )
    return detections, (*said, *outside, *far)


def _check_corners(side: str, boxes: Boxes, images: Sequence[str]) -> None:
    """Refuse boxes that end before they begin.

    Raises:
        EvaluationError: There are some.
    """
    corners = boxes.boxes_xyxy
    wrong = np.asarray((corners[:, 2:] < corners[:, :2]).any(axis=1))
    if wrong.any():
        what = f"boxes of the {side} end before they begin (x_max < x_min or y_max < y_min)"
        raise EvaluationError(
            f"{_say_boxes(wrong, boxes, images, what)}; are these x, y, width, height? then name "
            "the columns so"
        )


def _find_forms(
    truth: GroundTruth, answers: Answers, true: Boxes, found: Boxes
) -> tuple[tuple[bool, bool], list[str]]:
    """Whether each side has shares, and what is to be said where a file did not say so."""
    ends = [float(np.abs(boxes.boxes_xyxy).max(initial=0.0)) for boxes in (true, found)]
    flags, said = [truth.normalized, answers.normalized], []
    for i, side in enumerate(("truth", "predictions")):
        other = 1 - i
        has_pixels = not flags[other] and ends[other] > _SHARES_END
        if not flags[i] and 0 < ends[i] <= _SHARES_END and (has_pixels or flags[other]):
            flags[i] = True
            said.append(
                f"no box of the {side} reaches beyond {ends[i]:.4g}: they are taken for shares of "
                "the image's width and height"
            )
    return (flags[0], flags[1]), said


def _merge_sizes(truth: GroundTruth, answers: Answers, answer: IntArray) -> FloatArray:
    """Width and height of each image, (n_images, 2): as the truth has them, else the answers.

    Raises:
        EvaluationError: Both have them and they differ, while the answers have pixels.
    """
    unknown = np.full((1, 2), np.nan)
    sizes = answers.image_sizes
    told = np.full((len(answers.images), 2), np.nan) if sizes is None else sizes
    told = np.concatenate([told, unknown])[answer]
    if truth.image_sizes is None:
        return np.asarray(told)
    if answers.boxes is not None and answers.boxes.masks is not None:
        check_mask_sizes(truth, told)
    differs = np.asarray((np.abs(told - truth.image_sizes) > 1).any(axis=1))  # NaN: not known
    if differs.any() and not answers.normalized:
        i = int(np.argmax(differs))
        (w, h), (true_w, true_h) = told[i].tolist(), truth.image_sizes[i].tolist()
        raise EvaluationError(
            f"{np.count_nonzero(differs)} of {len(differs)} images have another size in the "
            f"predictions than in the truth, as {quoted(truth.images[i])}: {w:g} x {h:g}, not "
            f"{true_w:g} x {true_h:g}; give boxes in pixels of the original images"
        )
    return np.asarray(np.where(np.isnan(truth.image_sizes), told, truth.image_sizes))


def _scale(found: Boxes, sizes: FloatArray, images: Sequence[str], *, to_pixels: bool) -> Boxes:
    """The boxes in pixels instead of shares, or the reverse.

    Raises:
        EvaluationError: The size of an image that has some is not known.
    """
    own = sizes[found.image_idx]
    unknown = np.asarray(np.isnan(own).any(axis=1))
    if unknown.any():
        first = images[found.image_idx[int(np.argmax(unknown))]]
        n, of = (len(np.unique(rows)) for rows in (found.image_idx[unknown], found.image_idx))
        said = say_first(n, of, "images with predicted boxes have no known size", first)
        raise EvaluationError(f"{said}; {_NO_SIZE}")
    factor = own if to_pixels else 1 / own
    return replace(
        found,
        boxes_xyxy=found.boxes_xyxy * np.tile(factor, 2),
        sizes=None if found.sizes is None else found.sizes * factor,
    )


def _warn_outside(sides: _Sides, images: Sequence[str]) -> Iterator[str]:
    """Counts boxes that reach over the edge of their image, where its size is known.

    Raises:
        EvaluationError: Of half of the boxes of a side the centre lies outside.
    """
    for side, boxes in (("predictions", sides.found), ("truth", sides.truth)):
        shares = boxes.boxes_xyxy
        if not sides.normalized:
            shares = shares / np.tile(sides.sizes, 2)[boxes.image_idx]
        centre = (shares[:, :2] + shares[:, 2:]) / 2
        outside = _find_beyond(centre, 0)
        if 2 * np.count_nonzero(outside) > len(outside):
            said = _say_boxes(
                outside, boxes, images, f"boxes of the {side} lie outside their image"
            )
            raise EvaluationError(
                f"{said}; their scale is another than that of the image: give pixels of the "
                "original image, or shares"
            )
        beyond = _find_beyond(shares, _BEYOND)
        if beyond.any():
            what = f"boxes of the {side} reach beyond the edge of their image"
            yield _say_boxes(beyond, boxes, images, what)


def _find_beyond(shares: FloatArray, margin: float) -> BoolArray:
    """Which rows have something outside of an image, (n,)."""
    return np.asarray(((shares < -margin) | (shares > 1 + margin)).any(axis=1))


def _say_boxes(concerned: BoolArray, boxes: Boxes, images: Sequence[str], what: str) -> str:
    first = images[boxes.image_idx[int(np.argmax(concerned))]]
    return say_first(int(np.count_nonzero(concerned)), len(concerned), what, first)


def _warn_overlap(sides: _Sides) -> Iterator[str]:
    """That hardly a predicted box lies on a true one.

    Raises:
        EvaluationError: They would if they were read in another way.
    """
    truth, found = _sample(sides)
    n_true = len(truth.label_idx)
    if not n_true or not len(found.label_idx):
        return
    share = _share_found(truth, found)
    if share > 1 / _FAR_MORE:
        return
    for what, read in _list_readings(sides, truth, found):
        other = _share_found(truth, replace(found, boxes_xyxy=read))
        if other >= max(_MANY, _FAR_MORE * share):
            said = (
                f"{share:.0%} of the true boxes have a predicted box that covers half of them; if "
                f"predicted boxes were {what}, it would be {other:.0%}"
            )
            if n_true >= _MIN_BOXES:
                raise EvaluationError(f"{said}: write them as corners in pixels of the image")
            yield said
            return
    if n_true >= _MIN_BOXES and share < _FEW:
        yield (
            f"{share:.0%} of the true boxes have a predicted box that covers half of them: boxes "
            "of other images, in another scale, or of a model that finds nothing"
        )


def _sample(sides: _Sides) -> tuple[BoxTable, BoxTable]:
    """Boxes of images that have both; of many images every other, of many boxes the surest."""
    n_true, n_found = np.diff(sides.truth.offsets), np.diff(sides.found.offsets)
    images = np.flatnonzero((n_true > 0) & (n_found > 0))
    images = images[:: max(1, len(images) // _MAX_IMAGES)]
    tables = []
    for boxes, most in ((sides.truth, None), (sides.found, _MAX_ON_IMAGE)):
        taken = take_boxes(boxes, images)
        order = np.lexsort((-taken.confidence, taken.image_idx))
        place = np.arange(len(order)) - taken.offsets[:-1][taken.image_idx[order]]
        rows = order[place < most] if most else np.arange(len(order))
        tables.append(
            BoxTable(
                image_idx=images[taken.image_idx[rows]],
                label_idx=taken.label_idx[rows],
                boxes_xyxy=taken.boxes_xyxy[rows],
                confidence=taken.confidence[rows],
            )
        )
    return tables[0], tables[1]


def _share_found(truth: BoxTable, found: BoxTable) -> float:
    """The share of the true boxes that a predicted one of any label covers well."""
    pairs = pair_boxes(found, found.image_idx, truth, truth.image_idx, _OVERLAP)
    return len(np.unique(pairs.truth)) / len(truth.label_idx)


def list_overlapping(detections: Detections) -> tuple[IntArray, IntArray]:
    """True and predicted label of each true box and the box of any label that covers it best."""
    sides = _Sides(
        truth=detections.truth,
        found=detections.records,
        sizes=detections.image_sizes,
        normalized=detections.normalized,
    )
    truth, found = _sample(sides)
    pairs = pair_boxes(found, found.image_idx, truth, truth.image_idx, _OVERLAP)
    order = np.lexsort((-pairs.iou, pairs.truth))
    best = order[np.diff(pairs.truth[order], prepend=-1) > 0]
    return truth.label_idx[pairs.truth[best]], found.label_idx[pairs.detection[best]]


def _list_readings(
    sides: _Sides, truth: BoxTable, found: BoxTable
) -> Iterator[tuple[str, FloatArray]]:
    """The predicted boxes if their four numbers meant something else."""
    for what, read in _READINGS.items():
        yield what, read(found.boxes_xyxy)
    surest = found.boxes_xyxy[_find_surest(truth, found)]
    yield "in another scale", found.boxes_xyxy * _find_scale(truth.boxes_xyxy, surest)
    sizes = np.tile(sides.sizes, 2)
    if not sides.normalized and not np.isnan(sizes[found.image_idx]).any():
        true_shares = truth.boxes_xyxy / sizes[truth.image_idx]
        scale = _find_scale(true_shares, surest)
        yield "of resized images", found.boxes_xyxy * scale * sizes[found.image_idx]


def _find_surest(truth: BoxTable, found: BoxTable) -> BoolArray:
    """As many boxes of each image as it has true ones; `found` stands by falling confidence."""
    rank = np.arange(len(found.image_idx)) - np.searchsorted(found.image_idx, found.image_idx)
    return np.asarray(rank < np.bincount(truth.image_idx)[found.image_idx])


def _find_scale(true: FloatArray, found: FloatArray) -> FloatArray:
    """By how much predicted boxes are too small along x and y, (4,)."""
    true_mean, found_mean = (boxes.reshape(-1, 2).mean(axis=0) for boxes in (true, found))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(found_mean > 0, true_mean / found_mean, 1.0)
    return np.tile(scale, 2)


def _from_centre(x: FloatArray, y: FloatArray, width: FloatArray, height: FloatArray) -> FloatArray:
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)


_READINGS: Final[Mapping[str, Callable[[FloatArray], FloatArray]]] = {
    "x, y, width and height, not corners": lambda b: np.hstack([b[:, :2], b[:, :2] + b[:, 2:]]),
    "corners, not x, y, width and height": lambda b: np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]),
    "centre, width and height, not corners": lambda b: _from_centre(*b.T),
    "centre, not corner, with width and height": lambda b: _from_centre(
        b[:, 0], b[:, 1], b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]
    ),
    "y before x": lambda b: b[:, [1, 0, 3, 2]],
}
"""What four numbers may be that were read as left, top, right and bottom."""


def equals_truth(detections: Detections) -> bool:
    """Whether the images with predicted boxes have exactly their true ones."""
    truth, found = detections.truth, detections.records
    images = np.flatnonzero(np.diff(found.offsets) > 0)
    true_rows, rows = (_sort_rows(take_boxes(boxes, images)) for boxes in (truth, found))
    if true_rows.shape != rows.shape:
        return False
    return bool(np.allclose(true_rows, rows, rtol=1e-6, atol=1e-3))


def _sort_rows(boxes: Boxes) -> FloatArray:
    """Image, label and corners of each box, in an order that they alone decide."""
    columns = np.column_stack([boxes.image_idx, boxes.label_idx, boxes.boxes_xyxy])
    return np.asarray(columns[np.lexsort(np.round(columns, 3).T[::-1])])
