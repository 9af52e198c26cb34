"""Numbers of a version without images whose provider published the whole confusion matrix."""

from dataclasses import replace
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import Evaluation, Task
from mlrek.metrics import ConfusionMatrix, Metrics, PredictionRule
from mlrek.metrics.classification import compute_matrix_numbers
from mlrek.metrics.counts import count_labels
from mlrek.metrics.label_scores import score_labels, warn_zero_division
from mlrek.metrics.reconciliation import Basis, reconcile
from mlrek.metrics.sampling import Sampling
from mlrek.reported import count_reported

_FROM_COUNTS: Final = (
    "there are no test images to compute from: computed are the numbers that the published "
    "confusion matrix gives, of each image's top label whatever its confidence"
)


def compute_from_counts(evaluation: Evaluation, sampling: Sampling) -> Metrics | None:
    """Accuracy, averages, kappa, … from published counts; None where these are not all there.

    Google's matrix holds the top label of each image, so the numbers are those of the rule `top1`.
    """
    matrix = find_whole_matrix(evaluation)
    if matrix is None:
        return None
    labels, counts = evaluation.labels, count_labels(matrix)
    unknown = np.full(len(labels), nan)
    units = replace(sampling, groups=None).find_units(int(matrix.sum()))
    reconciled = reconcile(evaluation, Basis(support=counts.support))
    return Metrics(
        task=Task.CLASSIFICATION,
        labels=labels,
        prediction_rule=PredictionRule.TOP1.value,
        records=None,
        test_images=int(matrix.sum()),
        aggregate=compute_matrix_numbers(matrix, units),
        per_label=score_labels(counts, unknown, unknown, sampling.confidence),
        confusion=ConfusionMatrix(counts=matrix[:, :-1], rows=labels, columns=labels),
        reconciliation=reconciled,
        warnings=(
            _FROM_COUNTS,
            *warn_zero_division(counts, labels),
        ),
    )


def find_whole_matrix(evaluation: Evaluation) -> NDArray[np.int64] | None:
    """The published counts, where they are those of the whole test set and of all labels.

    Returns:
        (n_labels, n_labels + 1), rows true, columns predicted, the last one (no prediction) empty.
    """
    published = count_reported(evaluation)
    if evaluation.task is not Task.CLASSIFICATION or published is None:
        return None
    labels, counts = published
    n_images = evaluation.reported.test_images
    is_whole = n_images is None or counts.sum() == n_images
    if not is_whole or not counts.any() or set(labels) != set(evaluation.labels):
        return None
    places = [labels.index(label) for label in evaluation.labels]
    matrix = np.zeros((len(places), len(places) + 1), dtype=np.int64)
    matrix[:, :-1] = counts[np.ix_(places, places)]
    return matrix
