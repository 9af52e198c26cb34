"""The numbers of one version in resamples of its images, by what comparisons are made of."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from mlrek.comparison.exams import Exam, examine
from mlrek.comparison.measure import Values
from mlrek.evaluation import Evaluation, FloatArray
from mlrek.metrics import PredictionRule
from mlrek.metrics.pairs import order_images
from mlrek.metrics.resampling import Bootstrap, Weights, draw_weights


def resample_numbers(
    evaluation: Evaluation, rule: PredictionRule, bootstrap: Bootstrap
) -> Mapping[tuple[str, str], FloatArray]:
    """Every number, also of labels and at the thresholds, (n_resamples,) by name and label.

    Only images that count are drawn. Nothing without images, nor by the notebook rule, which counts
    some of them several times.

    Raises:
        EvaluationError: The evaluation contradicts its task.
    """
    if not evaluation.has_images or rule is PredictionRule.NOTEBOOK or not bootstrap.resamples:
        return MappingProxyType({})
    exam = examine(evaluation, rule, evaluation.labels)
    drawn = np.argsort(order_images(evaluation.images))  # the same for any order of lines
    drawn = drawn[exam.rows.counted[drawn]]
    if not len(drawn):
        return MappingProxyType({})
    blocks = []
    for picked in draw_weights(len(drawn), bootstrap):
        weights = np.zeros((len(evaluation.images), picked.shape[1]), dtype=picked.dtype)
        weights[drawn] = picked
        blocks.append(_measure(exam, weights))
    return {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}


def _measure(exam: Exam, weights: Weights) -> Values:
    counts = exam.measure.count(weights)
    scored = exam.measure.score(weights, counts, exam.evaluation.labels)
    return exam.measure.complete(scored, counts, {})
