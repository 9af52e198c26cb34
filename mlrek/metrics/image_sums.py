"""What each image adds to the numbers of a multi-label evaluation, for resampling images."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.evaluation import BoolArray, FloatArray, LabelSets
from mlrek.metrics.counts import AVERAGES, FRACTIONS, LabelCounts, compute_averages, divide
from mlrek.metrics.pairs import Pairs
from mlrek.metrics.resampling import Weights

AVERAGE_NAMES: Final = tuple(
    f"{score}_{average}" for score in FRACTIONS for average in (*AVERAGES, "samples")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSums:
    """Sums over images as a sparse matrix; times image weights it gives all that is needed.

    `rows` (3 * n_labels + 5, n_images): right predictions, predictions, and truth of each label;
    then the image's own precision, recall, F1 and Jaccard; then whether its labels are all right.
    """

    rows: sp.csr_array
    n_labels: int

    def compute(self, weights: Weights) -> dict[str, FloatArray]:
        """The statistic of all averages, `subset_accuracy` and `hamming_loss`."""
        sums = self.rows @ weights
        n_images = weights.sum(axis=0, dtype=np.float64)
        tp, predicted, support = (
            part.T.astype(np.int64) for part in np.split(sums[: 3 * self.n_labels], 3)
        )
        counts = LabelCounts(tp=tp, predicted=predicted, support=support)
        own = sums[3 * self.n_labels :]
        *samples, exact = divide(own, np.broadcast_to(n_images, own.shape))
        occurs = counts.occurs.any(axis=-1)
        values = compute_averages(counts) | {
            f"{score}_samples": np.where(occurs, mean, nan)
            for score, mean in zip(FRACTIONS, samples, strict=True)
        }
        n_wrong = (counts.fp + counts.fn).sum(axis=-1)
        return {name: values[name] for name in AVERAGE_NAMES} | {
            "subset_accuracy": exact,
            "hamming_loss": divide(n_wrong, n_images * self.n_labels),
        }


def count_images(pairs: Pairs, is_predicted: BoolArray, truth: LabelSets) -> LabelCounts:
    """The counts of each image in place of each label, (n_images,).

    Args:
        pairs: The recorded pairs of all images.
        is_predicted: Which of them are predictions, (n_pairs,).
        truth: The true labels of the same images.
    """
    n = pairs.n_images
    return LabelCounts(
        tp=np.bincount(pairs.image_idx[is_predicted & pairs.is_true], minlength=n),
        predicted=np.bincount(pairs.image_idx[is_predicted], minlength=n),
        support=truth.counts,
    )


def sum_images(pairs: Pairs, is_predicted: BoolArray, truth: LabelSets) -> ImageSums:
    """Lay out what each image adds; arguments as of `count_images`."""
    images = count_images(pairs, is_predicted, truth)
    own = np.array([*score_images(images), find_exact(images)], dtype=np.float64)
    is_right = is_predicted & pairs.is_true
    cells = [
        (pairs.label_idx[is_right], pairs.image_idx[is_right]),
        (pairs.label_idx[is_predicted] + pairs.n_labels, pairs.image_idx[is_predicted]),
        (truth.label_idx + 2 * pairs.n_labels, truth.image_idx),
    ]
    own_rows, own_images = np.indices(own.shape)
    cells.append((own_rows.ravel() + 3 * pairs.n_labels, own_images.ravel()))
    rows, columns = (np.concatenate(part) for part in zip(*cells, strict=True))
    values = np.concatenate([np.ones(len(rows) - own.size), own.ravel()])
    shape = (3 * pairs.n_labels + len(own), pairs.n_images)
    return ImageSums(
        rows=sp.csr_array((values, (rows, pairs.places[columns])), shape=shape),
        n_labels=pairs.n_labels,
    )


def score_images(images: LabelCounts) -> list[FloatArray]:
    """Precision, recall, F1 and Jaccard of each image, 0 where undefined, (n_images,) each."""
    return [divide(*fraction(images), empty=0.0) for fraction in FRACTIONS.values()]


def find_exact(images: LabelCounts) -> BoolArray:
    """Whether the predicted labels of each image are its true ones, (n_images,)."""
    return np.asarray((images.tp == images.predicted) & (images.tp == images.support))


def warn_empty_images(images: LabelCounts) -> Iterator[str]:
    """Counts the images whose undefined scores count as 0 in the averages over images."""
    for names, what, lacking in (
        ("precision_samples counts", "a predicted label", images.predicted == 0),
        ("recall_samples counts", "a true label", images.support == 0),
        ("f1_samples and jaccard_samples count", "any label", ~images.occurs),
    ):
        if n := np.count_nonzero(lacking):
            yield f"{names} as 0 on {n} of {len(lacking)} images, which are without {what}"
