"""COCO's results: an array of found boxes or masks -> answers."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from msgspec import Raw, Struct
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Boxes, FloatArray, IntArray, Outcome
from mlrek.formats.coco.documents import (
    Id,
    decode_file,
    measure_boxes,
    name_id,
    seems_coco_truth,
    sort_boxes,
    stack_boxes,
)
from mlrek.formats.coco.masks import Rle, encode_rle, measure_masks
from mlrek.formats.files import Files
from mlrek.formats.json_text import quoted
from mlrek.formats.predictions import Answers

_RESULTS: Final = "a file of COCO results"
_PERCENT: Final = 100.0


class _Result(Struct, gc=False):
    image_id: Id
    category_id: Id | None = None
    score: float | None = None
    bbox: list[float] | None = None
    segmentation: Rle | list[Any] | None = None
    keypoints: Raw = Raw()
    caption: Raw = Raw()


_RESULTS_DECODER: Final = Decoder(list[_Result])


def read_coco_answers(files: Files) -> Answers:
    """The boxes or masks of a results file, by the ids of images and labels.

    Raises:
        ParseError: It is no such file, or it is truth.
    """
    if seems_coco_truth(files):
        raise ParseError(
            files.uri,
            0,
            "is truth (COCO instances), not predictions: give the results, an array of objects "
            "with image_id, category_id, bbox and score",
        )
    results = decode_file(_RESULTS_DECODER, files, _RESULTS)
    if not results:
        raise ParseError(files.uri, 0, "holds no result: an empty array")
    try:
        return _make_answers(results)
    except ValueError as exc:
        raise ParseError(files.uri, 0, str(exc)) from exc


def _make_answers(results: Sequence[_Result]) -> Answers:
    _check_results(results)
    images = [name_id(row.image_id) for row in results]
    labels = [name_id(row.category_id) for row in results]
    image_places, label_places = (
        {name: place for place, name in enumerate(dict.fromkeys(names))}
        for names in (images, labels)
    )
    image_idx = np.array([image_places[name] for name in images], dtype=np.int64)
    confidence, said = _read_scores(results)
    masks, sizes = _read_masks(results, image_idx, len(image_places))
    corners, areas, exact = measure_boxes(*_read_found(results, masks, sizes, image_idx))
    boxes = Boxes(
        offsets=np.array([0, len(results)]),
        label_idx=np.array([label_places[name] for name in labels], dtype=np.int32),
        boxes_xyxy=corners,
        confidence=confidence,
        outcome=np.full(len(results), Outcome.UNKNOWN, dtype=np.uint8),
        areas=areas,
        sizes=exact,
        masks=masks,
    )
    is_normalized, of_shares = _find_shares(boxes)
    none = np.zeros(0, dtype=np.int64)
    return Answers(
        images=tuple(image_places),
        labels=tuple(label_places),
        offsets=np.zeros(len(image_places) + 1, dtype=np.int64),
        label_idx=none,
        confidence=np.zeros(0),
        boxes=sort_boxes(boxes, image_idx, len(image_places)),
        image_sizes=sizes,
        normalized=is_normalized,
        by_id=True,
        warnings=(*said, *of_shares),
    )


def _check_results(results: Sequence[_Result]) -> None:
    """Refuse results that are of no objects.

    Raises:
        ValueError: They are captions or keypoints, or have no label, place or score.
    """
    for i, row in enumerate(results):
        has_place = row.bbox or row.segmentation
        if row.category_id is not None and has_place and row.score is not None:
            continue
        if bytes(row.caption):
            raise ValueError("holds captions, not boxes or masks with a score")
        if bytes(row.keypoints) and not has_place:
            raise ValueError("holds keypoints, not boxes or masks with a score")
        if row.category_id is None or not has_place:
            lacks = "category_id" if row.category_id is None else "bbox and no segmentation"
            raise ValueError(f"result {i + 1} has no {lacks}")
        raise ValueError(f"result {i + 1} has no score: is it truth? Predictions need one each")


def _read_scores(rows: Sequence[_Result]) -> tuple[FloatArray, tuple[str, ...]]:
    """Confidences from 0 to 1, and what is said of them.

    Raises:
        ValueError: One is neither a fraction nor a percentage.
    """
    scores = np.array([row.score for row in rows], dtype=np.float64)
    wrong = ~((scores >= 0) & (scores <= _PERCENT))
    if wrong.any():
        n, first = np.count_nonzero(wrong), scores[int(np.argmax(wrong))]
        raise ValueError(
            f"{n} of {len(scores)} scores are neither fractions from 0 to 1 nor percentages; "
            f"first: {first:g}"
        )
    if (scores > 1).any():
        return scores / _PERCENT, ("scores are above 1 and are read as percentages",)
    return scores, ()


def _read_masks(
    rows: Sequence[_Result], image_idx: IntArray, n_images: int
) -> tuple[tuple[bytes, ...] | None, FloatArray]:
    """The masks where each result has one, and the size of each image, (n_images, 2).

    Raises:
        ValueError: One is malformed, or two of an image differ in size.
    """
    sizes = np.full((n_images, 2), np.nan)
    if not all(isinstance(row.segmentation, Rle) for row in rows):
        if any(isinstance(row.segmentation, list) and not row.bbox for row in rows):
            raise ValueError("holds polygons; COCO results hold masks as RLE")
        return None, sizes
    found = [row.segmentation for row in rows if isinstance(row.segmentation, Rle)]
    shapes = np.array([rle.size[::-1] for rle in found], dtype=np.float64)
    sizes[image_idx] = shapes
    if (differ := (sizes[image_idx] != shapes).any(axis=1)).any():
        first = rows[int(np.argmax(differ))].image_id
        raise ValueError(f"masks of image {quoted(first)} differ in size")
    masks = []
    for rle in found:
        try:
            masks.append(encode_rle(rle))
        except ValueError as exc:
            raise ValueError(f"a segmentation {exc}") from exc
    return tuple(masks), sizes


def _read_found(
    rows: Sequence[_Result], masks: Sequence[bytes] | None, sizes: FloatArray, image_idx: IntArray
) -> tuple[FloatArray, FloatArray | None]:
    """Left, top, width and height of each result, (n, 4), and its area where that is its mask's.

    As pycocotools does, the first result tells whether boxes are given.

    Raises:
        ValueError: A result has no box, or one that is none.
    """
    if rows[0].bbox or masks is None:
        return stack_boxes([row.bbox or [] for row in rows], "result"), None
    around, areas = measure_masks(masks, sizes[image_idx])
    return around, areas


def _find_shares(boxes: Boxes) -> tuple[bool, tuple[str, ...]]:
    """Whether all boxes together are smaller than a pixel, and what is then said."""
    if not len(boxes.boxes_xyxy) or boxes.masks is not None or boxes.boxes_xyxy.max() > 1:
        return False, ()
    said = "boxes lie between 0 and 1 and are read as shares of the image's width and height"
    return True, (said,)
