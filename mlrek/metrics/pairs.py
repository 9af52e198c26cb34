"""The recorded (image, label) pairs of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray
from mlrek.metrics.counts import LabelCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The recorded (image, label) pairs of the images that count, by image, then label.

    `image_idx` counts these images only, 0 to `n_images` - 1; `label_idx`, `confidence` and
    `is_true` (the label is true on the image) go with it, all (n,). `support` (n_labels,) are the
    images where each label is true, with a record of it or without. `places` (n_images,) is the
    place of each image in the order of URIs: resamples are drawn in this order, so that an interval
    does not depend on the order of lines.
    """

    n_images: int
    places: IntArray
    image_idx: IntArray
    label_idx: IntArray
    confidence: FloatArray
    is_true: BoolArray
    support: IntArray

    @property
    def n_labels(self) -> int:
        """Number of labels of the evaluation."""
        return len(self.support)


def pair_records(evaluation: Evaluation, keep: BoolArray | None = None) -> Pairs:
    """The recorded pairs of the images in `keep` (n_images,); of all without it."""
    records, truth = evaluation.records, evaluation.truth
    image_idx, n_labels = records.image_idx, len(evaluation.labels)
    is_true = find_codes(
        pair_codes(image_idx, records.label_idx, n_labels),
        pair_codes(truth.image_idx, truth.label_idx, n_labels),
    )
    pairs = Pairs(
        n_images=len(evaluation.images),
        places=order_images(evaluation.images),
        image_idx=image_idx,
        label_idx=records.label_idx,
        confidence=records.confidence,
        is_true=is_true,
        support=np.bincount(truth.label_idx, minlength=n_labels),
    )
    return pairs if keep is None or keep.all() else _keep_images(evaluation, pairs, keep)


def pair_codes(image_idx: IntArray, label_idx: IntArray, n_labels: int) -> NDArray[np.int64]:
    """One number for each (image, label), rising with the image, then the label."""
    return image_idx.astype(np.int64) * n_labels + label_idx


def find_codes(codes: IntArray, among: IntArray) -> BoolArray:
    """Whether each code stands in `among`; both rising."""
    if not len(among):
        return np.zeros(len(codes), dtype=np.bool_)
    place = np.minimum(np.searchsorted(among, codes), len(among) - 1)
    return np.asarray(among[place] == codes)


def count_predicted(pairs: Pairs, is_predicted: BoolArray) -> LabelCounts:
    """Label counts where the pairs of `is_predicted` (n,) are the predictions."""
    n = pairs.n_labels
    return LabelCounts(
        tp=np.bincount(pairs.label_idx[is_predicted & pairs.is_true], minlength=n),
        predicted=np.bincount(pairs.label_idx[is_predicted], minlength=n),
        support=pairs.support,
    )


def _keep_images(evaluation: Evaluation, pairs: Pairs, keep: BoolArray) -> Pairs:
    images = tuple(compress(evaluation.images, keep))
    kept = keep[pairs.image_idx]
    true_label_idx = evaluation.truth.label_idx[np.repeat(keep, evaluation.truth.counts)]
    return Pairs(
        n_images=len(images),
        places=order_images(images),
        image_idx=(np.cumsum(keep) - 1)[pairs.image_idx[kept]],
        label_idx=pairs.label_idx[kept],
        confidence=pairs.confidence[kept],
        is_true=pairs.is_true[kept],
        support=np.bincount(true_label_idx, minlength=pairs.n_labels),
    )


def order_images(images: Sequence[str]) -> IntArray:
    """The place of each image in the order of URIs, (n_images,)."""
    places = np.empty(len(images), dtype=np.int32)
    places[sorted(range(len(images)), key=images.__getitem__)] = np.arange(len(images))
    return places
