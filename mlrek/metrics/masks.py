"""From the pixels of two masks to counts: label maps, -1 for the background."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.errors import EvaluationError
from mlrek.evaluation import IntArray, MaskPixel

BACKGROUND: Final = -1
OPAQUE: Final = 128
"""Pixels with an alpha of less are background: the edges of masks are smooth."""

SKETCH_SIDE: Final = 192
"""The longer side of a sketch is at most so many pixels."""

Colour = tuple[int, int, int]

_CHANNELS: Final = 4
_MAX_BLOCK: Final = 2**18  # pixels or colours worked on at once


def decode_mask(
    rgba: NDArray[np.uint8], colors: Mapping[int, Colour], background: Colour | None = None
) -> NDArray[np.int32]:
    """Which label each pixel of a mask has.

    A pixel that is less than half opaque is background; any other has the label whose colour is
    nearest (in RGB), ties to the first code, and to a label before the background.

    Args:
        rgba: The mask, (height, width, 4).
        colors: The red, green and blue of each label code.
        background: The colour of the background, where it has one.

    Returns:
        Label codes, (height, width); `BACKGROUND` where there is none.

    Raises:
        EvaluationError: The mask has other channels than red, green, blue and alpha.
    """
    if rgba.ndim != 3 or rgba.shape[2] != _CHANNELS or rgba.dtype != np.uint8:  # noqa: PLR2004 - an image
        raise EvaluationError(f"a mask of shape {rgba.shape} is no image of RGBA bytes")
    codes = sorted(colors)
    known = [colors[code] for code in codes]
    if background is not None:
        codes, known = [*codes, BACKGROUND], [*known, background]
    pixels = np.ascontiguousarray(rgba).view(np.uint32).ravel()
    # Masks are flat areas: what one pixel is decides for all that follow it unchanged.
    starts = np.flatnonzero(np.diff(pixels, prepend=~pixels[:1]))
    distinct, place = np.unique(pixels[starts], return_inverse=True)
    decoded = _find_nearest(distinct.view(np.uint8).reshape(-1, _CHANNELS), codes, known)
    labels = np.repeat(decoded[place], np.diff(starts, append=len(pixels)))
    return labels.reshape(rgba.shape[:2])


def count_masks(
    mask_true: IntArray, mask_pred: IntArray, n_labels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of each label that are true and predicted, predicted only, and true only.

    Args:
        mask_true: Label codes, -1 for the background, (height, width).
        mask_pred: The same of the prediction.
        n_labels: The number of labels.

    Returns:
        `tp`, `fp`, `fn`, (n_labels,) each; the background is no label.

    Raises:
        EvaluationError: The masks differ in size, or a code has no label.

    >>> [counts.tolist() for counts in count_masks(np.array([[0, 1]]), np.array([[0, 0]]), 2)]
    [[1, 0], [1, 0], [0, 1]]
    """
    if mask_true.shape != mask_pred.shape:
        raise EvaluationError(
            f"masks of {mask_true.shape} and {mask_pred.shape} pixels differ in size"
        )
    n = n_labels + 1
    tp, true, pred = np.zeros((3, n), dtype=np.int64)
    flat_true, flat_pred = mask_true.ravel(), mask_pred.ravel()
    for start in range(0, len(flat_true), _MAX_BLOCK):
        block = slice(start, start + _MAX_BLOCK)
        y_true, y_pred = _shift(flat_true[block], n), _shift(flat_pred[block], n)
        true += np.bincount(y_true, minlength=n)
        pred += np.bincount(y_pred, minlength=n)
        tp += np.bincount(y_true[y_true == y_pred], minlength=n)
    return tp[1:], (pred - tp)[1:], (true - tp)[1:]


def sketch_masks(mask_true: IntArray, mask_pred: IntArray) -> NDArray[np.uint8]:
    """Where two masks of one size agree, small: codes of `MaskPixel`, at most 192 a side.

    >>> sketch_masks(np.array([[0, 1, -1, -1]]), np.array([[0, 0, 0, -1]])).tolist()
    [[1, 2, 2, 0]]
    """
    step = -(-max(mask_true.shape) // SKETCH_SIDE)
    true, pred = mask_true[::step, ::step], mask_pred[::step, ::step]
    sketch = np.zeros(true.shape, dtype=np.uint8)
    sketch[true != BACKGROUND] = MaskPixel.MISSED
    sketch[pred != BACKGROUND] = MaskPixel.PREDICTED
    sketch[(true == pred) & (true != BACKGROUND)] = MaskPixel.AGREED
    return sketch


def _find_nearest(
    rgba: NDArray[np.uint8], codes: list[int], known: list[Colour]
) -> NDArray[np.int32]:
    """The code of the nearest known colour of each colour, (n,)."""
    decoded = np.full(len(rgba), BACKGROUND, dtype=np.int32)
    opaque = np.flatnonzero(rgba[:, 3] >= OPAQUE)
    if not known:
        return decoded
    size = max(1, _MAX_BLOCK // len(known))
    for rows in np.split(opaque, range(size, len(opaque), size)):
        apart = rgba[rows, np.newaxis, :3].astype(np.int32) - np.array(known, dtype=np.int32)
        decoded[rows] = np.array(codes)[np.square(apart).sum(axis=2).argmin(axis=1)]
    return decoded


def _shift(codes: IntArray, n: int) -> IntArray:
    """Codes from 0, the background first."""
    shifted = codes.astype(np.int64) + 1
    if len(shifted) and not (shifted.min() >= 0 and shifted.max() < n):
        raise EvaluationError("a pixel of a mask has no label")
    return shifted
