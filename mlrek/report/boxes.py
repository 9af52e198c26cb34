"""Boxes of the images of a page, as parts of a thousand of the picture's sides."""

from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray
from mlrek.metrics import Predictions
from mlrek.report.thumbnails import Thumbnails
from mlrek.tables.json_text import Json

_PARTS: Final = 1000
_MARGIN: Final = 1.05
"""Where the size of an image is unknown, its boxes fill it but for a margin."""


def describe_frames(
    evaluation: Evaluation, predictions: Predictions, images: IntArray, thumbnails: Thumbnails
) -> FloatArray:
    """Width and height of each image in pixels, (n_images, 2): known, read, or those of its boxes.

    Args:
        evaluation: A detection.
        predictions: Its predictions.
        images: Positions of the images, rising.
        thumbnails: What could be read of them.
    """
    assert evaluation.detections is not None  # noqa: S101 - for the type checker
    known = evaluation.detections.image_sizes[images]
    read = np.full((len(images), 2), np.nan)
    place = {image: i for i, image in enumerate(images.tolist())}
    for image, thumbnail in thumbnails.by_image.items():
        if image in place:
            read[place[image]] = thumbnail.width, thumbnail.height
    frames = np.where(known > 0, known, read)
    lacking = np.isnan(frames).any(axis=1)
    frames[lacking] = _MARGIN * _find_extents(predictions, len(evaluation.images))[images][lacking]
    if evaluation.detections.normalized:
        frames[lacking] = _PARTS
    return np.maximum(frames, 1)


def describe_boxes(
    evaluation: Evaluation,
    predictions: Predictions,
    rows: IntArray,
    images: IntArray,
    frames: FloatArray,
) -> list[Json]:
    """Left, top, right, bottom of each row's box, one after the other; -1 of none.

    Args:
        evaluation: A detection.
        predictions: Its predictions.
        rows: The rows to describe.
        images: Positions of the images, rising.
        frames: Their sizes, (n_images, 2).
    """
    assert evaluation.detections is not None  # noqa: S101 - for the type checker
    assert predictions.boxes_xyxy is not None  # noqa: S101 - for the type checker
    corners = predictions.boxes_xyxy[rows]
    if not evaluation.detections.normalized:
        sizes = frames[np.searchsorted(images, predictions.image_idx[rows])]
        corners = corners / np.tile(sizes, 2)
    parts = np.clip(np.nan_to_num(corners, nan=-1.0) * _PARTS, -1, 2 * _PARTS)
    return [*np.rint(parts).astype(np.int64).ravel().tolist()]


def _find_extents(predictions: Predictions, n_images: int) -> FloatArray:
    """How far the boxes of each image reach, (n_images, 2); 1 without a box."""
    extents = np.ones((n_images, 2))
    if predictions.boxes_xyxy is not None:
        np.fmax.at(extents, predictions.image_idx, predictions.boxes_xyxy[:, 2:])
    return extents
