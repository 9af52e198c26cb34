"""Boxes as notebooks hold them: dicts as torchvision's, or tuples, a list for each image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

import numpy as np

from mlrek.api.given_labels import (
    GivenColumn,
    NamedLabels,
    check_scores,
    read_column,
    to_array,
    to_numbers,
)
from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import Boxes, FloatArray, Outcome
from mlrek.formats.columns import add_up
from mlrek.formats.json_text import quoted

_Parts: TypeAlias = tuple[Sequence[object], Any, Sequence[object]]  # labels, corners, scores

_KEYS: Final = ("boxes", "labels", "scores")
_N_SIDES: Final = 4
_WITHOUT_SCORE: Final = 5  # a label and four numbers


class BoxForm(StrEnum):
    """What the four numbers of a box are."""

    XYXY = "xyxy"  # left, top, right, bottom
    XYWH = "xywh"  # left, top, width, height, as in COCO
    CXCYWH = "cxcywh"  # the centre, width, height, as in YOLO


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBoxes:
    """Boxes of n images: `counts` (n,) each, `corners` (n_boxes, 4), `scores` (n_boxes,) or None.

    `sizes` (n_boxes, 2) are there where corners do not give them to the last bit; `further` has
    `iscrowd` and `area` (n_boxes,) where dicts have them.
    """

    column: GivenColumn
    counts: Any
    corners: FloatArray
    scores: FloatArray | None
    sizes: FloatArray | None = None
    further: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def are_shares(self) -> bool:
        """Whether all corners can be shares of the image's width and height."""
        return bool(len(self.corners)) and float(np.abs(self.corners).max()) <= 1

    def place(self, labels: NamedLabels) -> Boxes:
        """The boxes with the codes of labels."""
        n = len(self.corners)
        is_crowd, areas = self.further.get("iscrowd"), self.further.get("area")
        return Boxes(
            offsets=add_up(self.counts),
            label_idx=labels.place(self.column).astype(np.int32),
            boxes_xyxy=self.corners,
            confidence=np.full(n, np.nan) if self.scores is None else self.scores,
            outcome=np.full(n, Outcome.UNKNOWN, dtype=np.uint8),
            is_crowd=None if is_crowd is None else is_crowd > 0,
            areas=areas,
            sizes=self.sizes,
        )


def are_boxes(given: object) -> bool:
    """Whether what is given for the images are boxes: dicts with `boxes`, or tuples of numbers."""
    if not isinstance(given, list | tuple):
        return False
    first = next((image for image in given if not isinstance(image, Iterable) or len(image)), None)  # type: ignore[arg-type]
    if isinstance(first, Mapping):
        return "boxes" in first
    rows: Final = (list, tuple, np.ndarray)
    if not isinstance(first, rows) or not isinstance(first[0], rows):
        return False
    return len(first[0]) in {_WITHOUT_SCORE, _WITHOUT_SCORE + 1}


def combine_boxes(
    y_true: Any, y_pred: Any, y_score: Any, boxes: Any
) -> tuple[list[Mapping[str, object]], list[Mapping[str, object]]]:
    """True and found boxes as dicts, of labels and scores by image and the boxes of both.

    Raises:
        UsageError: `boxes` is no pair, or there are no predictions.
        EvaluationError: They are of another number of images.
    """
    if not isinstance(boxes, list | tuple) or len(boxes) != len(("true", "found")):
        raise UsageError(
            f"boxes: give what their numbers are ({', '.join(BoxForm)}), or a pair: the true boxes "
            f"of each image and the found ones, not {quoted(boxes)}"
        )
    if y_pred is None:
        raise UsageError("y_pred: give the labels of the found boxes of each image")
    n_images, (true_boxes, found_boxes) = len(y_true), boxes
    parts = {"boxes[0]": true_boxes, "boxes[1]": found_boxes, "y_pred": y_pred, "y_score": y_score}
    for name, part in parts.items():
        if part is not None and len(part) != n_images:
            raise EvaluationError(
                f"y_true has {n_images:,} images, {name} {len(part):,}: they differ in length"
            )
    scores = [()] * n_images if y_score is None else y_score
    true = zip(true_boxes, y_true, strict=True)
    found = zip(found_boxes, y_pred, scores, strict=True)
    return [dict(zip(_KEYS, image, strict=False)) for image in true], [
        dict(zip(_KEYS, image, strict=True)) for image in found
    ]


def read_boxes(name: str, given: object, form: BoxForm, *, are_found: bool) -> GivenBoxes:
    """Boxes of images, of the parameter `name`.

    Args:
        name: The parameter.
        given: For each image a dict with `boxes` (n, 4), `labels` (n,) and, of found boxes,
            `scores` (n,); or a list of (label, four numbers) with a score behind them.
        form: What the four numbers are.
        are_found: Whether a model found them; else they are true.

    Raises:
        EvaluationError: They are something else, or what no box can be.
    """
    if not isinstance(given, list | tuple):
        raise EvaluationError(
            f"{name}: give a list with the boxes of each image, not {quoted(given)}"
        )
    images = [_read_image(name, i, image) for i, image in enumerate(given)]
    counts = np.array([len(labels) for labels, _, _ in images], dtype=np.int64)
    rows = [row for _, boxes, _ in images for row in boxes]
    numbers = to_numbers(name, rows) if rows else np.zeros((0, _N_SIDES))
    if numbers.shape[1:] != (_N_SIDES,):
        raise EvaluationError(f"{name}: a box is four numbers, not {numbers[0].tolist()}")
    scores = [score for _, _, found in images for score in found]
    if scores and not are_found:
        raise EvaluationError(f"{name}: true boxes have no scores; is it y_pred?")
    if scores and len(scores) != len(numbers):
        raise EvaluationError(f"{name}: {len(scores)} of {len(numbers)} boxes have a score")
    confidence = to_numbers(name, scores) if scores else None
    if confidence is not None:
        check_scores(f"{name}: scores", confidence)
    corners = _find_corners(name, numbers, form)
    return GivenBoxes(
        column=read_column(name, [label for labels, _, _ in images for label in labels]),
        counts=counts,
        corners=corners,
        scores=None if confidence is None else np.minimum(confidence, 1.0),
        sizes=_find_sizes(numbers, corners, form),
        further={} if are_found else dict(_read_further(name, given, counts)),
    )


def _read_image(name: str, i: int, image: object) -> _Parts:
    """Labels, boxes and scores of one image."""
    if isinstance(image, Mapping):
        if missing := [key for key in _KEYS[:2] if key not in image]:
            raise EvaluationError(f"{name}[{i}]: has no {missing[0]!r}")
        boxes, labels, scores = (
            list(to_array(f"{name}[{i}]", image.get(key, ()))) for key in _KEYS
        )
        if len(boxes) != len(labels) or len(scores) not in {0, len(boxes)}:
            raise EvaluationError(
                f"{name}[{i}]: {len(boxes)} boxes, {len(labels)} labels, {len(scores)} scores"
            )
        return labels, boxes, scores
    rows = [] if image is None else list(to_array(f"{name}[{i}]", image))
    if wrong := [row for row in rows if not _is_tuple(row)]:
        raise EvaluationError(
            f"{name}[{i}]: holds {quoted(wrong[0])}; a box is (label, x1, y1, x2, y2), with its "
            "score behind these where a model found it"
        )
    scores = [row[_WITHOUT_SCORE] for row in rows if len(row) > _WITHOUT_SCORE]
    return [row[0] for row in rows], [list(row[1:_WITHOUT_SCORE]) for row in rows], scores


def _is_tuple(row: object) -> bool:
    if not isinstance(row, list | tuple | np.ndarray):
        return False
    return len(row) in {_WITHOUT_SCORE, _WITHOUT_SCORE + 1}


def _find_corners(name: str, numbers: FloatArray, form: BoxForm) -> FloatArray:
    """Left, top, right, bottom, (n, 4).

    Raises:
        EvaluationError: A box ends before it begins.
    """
    first, second = numbers[:, :2], numbers[:, 2:]
    if form is BoxForm.XYWH:
        second = first + second
    elif form is BoxForm.CXCYWH:
        first, second = first - second / 2, first + second / 2
    ends_early = np.any(second < first, axis=1)
    if n_wrong := np.count_nonzero(ends_early):
        box = numbers[int(np.argmax(ends_early))].tolist()
        hint = "; are these left, top, width, height? say boxes='xywh'" * (form is BoxForm.XYXY)
        raise EvaluationError(
            f"{name}: {n_wrong} of {len(numbers)} boxes end before they begin, as {box}{hint}"
        )
    return np.concatenate([first, second], axis=1)


def _find_sizes(numbers: FloatArray, corners: FloatArray, form: BoxForm) -> FloatArray | None:
    """Width and height as given, (n, 2); None where corners give them to the last bit."""
    sizes = numbers[:, 2:]
    if form is BoxForm.XYXY or np.array_equal(corners[:, 2:] - corners[:, :2], sizes):
        return None
    return sizes


def _read_further(name: str, given: Sequence[Any], counts: Any) -> Iterable[tuple[str, FloatArray]]:
    """What all dicts of true boxes tell besides: crowds, areas."""
    for key in ("iscrowd", "area"):
        if given and all(isinstance(image, Mapping) and key in image for image in given):
            rows = [to_numbers(f"{name}: {key}", image[key]) for image in given]
            if [len(row) for row in rows] != counts.tolist():
                raise EvaluationError(f"{name}: `{key}` and `boxes` differ in number")
            yield key, np.concatenate(rows)
