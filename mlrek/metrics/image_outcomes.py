"""How right each image is, beyond what its true labels explain."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mlrek.evaluation import Evaluation, FloatArray, IntArray, MaskCounts, Task
from mlrek.metrics import Metrics, Predictions

MIN_STRATUM: Final = 10
_MAX_LABELS: Final = 300
_SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcomes:
    """What is left of each image's score when the mean of its stratum is taken off.

    Images of one stratum have the same true labels, so they may trade places if images are
    independent. `image_idx`, `rest`, `stratum` (n,): the image of the evaluation, from -1 to 1, and
    0 to the number of strata - 1.
    """

    image_idx: IntArray
    rest: FloatArray
    stratum: IntArray


def describe_outcomes(
    evaluation: Evaluation, metrics: Metrics, *, by_uri: bool = False
) -> ImageOutcomes:
    """How right the images that count are, in their order or in that of their URIs.

    The score of an image is 1 or 0 where it has one label; else the share of right ones among its
    true and predicted labels, boxes, or pixels. With one label an image, strata are labels. Else
    what a linear model of the labels explains is taken off, and strata are sets of true labels;
    those of under 10 images are one.
    """
    image_idx, scores = _score_images(evaluation, metrics)
    if by_uri:
        images = [evaluation.images[i] for i in image_idx.tolist()]
        order = sorted(range(len(images)), key=images.__getitem__)
        image_idx, scores = image_idx[order], scores[order]
    labels = _list_labels(evaluation)[image_idx]
    if evaluation.task == Task.CLASSIFICATION:
        stratum = np.unique(labels @ np.arange(labels.shape[1]), return_inverse=True)[1]
    else:
        scores, stratum = _fit_labels(labels, scores), _name_sets(labels)
    sizes = np.bincount(stratum)
    means = np.bincount(stratum, weights=scores) / np.maximum(sizes, 1)
    return ImageOutcomes(image_idx=image_idx, rest=scores - means[stratum], stratum=stratum)


def _score_images(evaluation: Evaluation, metrics: Metrics) -> tuple[IntArray, FloatArray]:
    """The images that count and the score of each, both (n,)."""
    n = len(evaluation.images)
    if evaluation.masks is not None:
        return _score_masks(evaluation.masks, n)
    if metrics.predictions is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    right, total = _count_rows(metrics.predictions, n)
    counted: IntArray = np.arange(n)
    if evaluation.task == Task.CLASSIFICATION:
        counted = np.flatnonzero((evaluation.truth.counts > 0) & (total > 0))
    scores = np.ones(n)  # without any box there is nothing wrong
    np.divide(right, total, out=scores, where=total > 0)
    return counted, scores[counted]


def _count_rows(predictions: Predictions, n: int) -> tuple[FloatArray, FloatArray]:
    """Of each image the right rows and all of them, (n_images,)."""
    is_right = predictions.y_true == predictions.y_pred
    right = np.bincount(predictions.image_idx[is_right], minlength=n)
    total = np.bincount(predictions.image_idx, minlength=n)
    return right.astype(np.float64), total.astype(np.float64)


def _score_masks(masks: MaskCounts, n: int) -> tuple[IntArray, FloatArray]:
    counted = np.flatnonzero(masks.readable)
    right = np.bincount(masks.image_idx, weights=masks.tp, minlength=n)
    total = np.bincount(masks.image_idx, weights=masks.tp + masks.fp + masks.fn, minlength=n)
    scores = np.ones(n)
    np.divide(right, total, out=scores, where=total > 0)
    return counted, scores[counted]


def _list_labels(evaluation: Evaluation) -> sp.csr_array:
    """Whether each label is true on each image, (n_images, n_labels), of 0 and 1."""
    pairs = [(evaluation.truth.image_idx, evaluation.truth.label_idx)]
    if evaluation.detections is not None:
        boxes = evaluation.detections.truth
        pairs.append((boxes.image_idx, boxes.label_idx))
    if evaluation.masks is not None:
        masks = evaluation.masks
        is_true = masks.tp + masks.fn > 0
        pairs.append((masks.image_idx[is_true], masks.label_idx[is_true]))
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    shape = len(evaluation.images), max(len(evaluation.labels), 1)
    labels = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    labels.data[:] = 1.0  # several boxes of one label count once
    return labels


def _fit_labels(labels: sp.csr_array, scores: FloatArray) -> FloatArray:
    """What a linear model of the (most frequent) labels leaves of the scores, (n,)."""
    frequent = np.argsort(-labels.sum(axis=0), kind="stable")[:_MAX_LABELS]
    design = sp.hstack([np.ones((len(scores), 1)), labels[:, np.sort(frequent)]], format="csr")
    weights, *_ = np.linalg.lstsq(
        (design.T @ design).toarray(), np.asarray(design.T @ scores), rcond=None
    )
    return np.asarray(scores - design @ weights)


def _name_sets(labels: sp.csr_array) -> NDArray[np.int64]:
    """A number for the set of labels of each image, (n,); rare sets share one."""
    names = np.random.default_rng(_SEED).integers(2**40, size=labels.shape[1])
    sums = labels.astype(np.int64) @ names
    _, codes, sizes = np.unique(sums, return_inverse=True, return_counts=True)
    return np.asarray(
        np.unique(np.where(sizes[codes] < MIN_STRATUM, -1, codes), return_inverse=True)[1]
    )
