"""Numbers of a one-label classification that need the confidences, not only the predictions."""

from math import nan
from typing import Final

from mlrek.metrics import Number, PredictionRule
from mlrek.metrics.calibration import (
    calibration_error,
    count_not_summing_to_one,
    log_loss_of_images,
    mean_of_images,
)
from mlrek.metrics.counts import NO_TRUTH_REASON
from mlrek.metrics.intervals import Plan, compute_planned
from mlrek.metrics.pairs import Pairs
from mlrek.metrics.prediction import Sample
from mlrek.metrics.ranking import RANKING_REASONS, Ranking
from mlrek.metrics.resampling import Bootstrap

NAMES: Final = ("ece", "log_loss", "roc_auc_macro", "average_precision_macro")


def compute_probability_numbers(
    pairs: Pairs, sample: Sample, ranking: Ranking, bootstrap: Bootstrap
) -> dict[str, Number]:
    """`ece`, `log_loss`, `roc_auc_macro` and `average_precision_macro`, with intervals.

    Args:
        pairs: The recorded pairs of the images with truth.
        sample: The predictions.
        ranking: The scores in order, where the records are complete.
        bootstrap: How to resample.
    """
    if not pairs.n_images:
        return dict.fromkeys(NAMES, Number(value=nan, reason=NO_TRUTH_REASON))
    plans = plan_score_means(pairs, sample, ranking)
    plans[NAMES[2:]] = ranking.missing or ranking.compute_macro
    return compute_planned(plans, pairs.n_images, bootstrap, RANKING_REASONS)


def plan_score_means(pairs: Pairs, sample: Sample, ranking: Ranking) -> dict[tuple[str, ...], Plan]:
    """How to compute `ece` and `log_loss` of weighted images, of which there must be one."""
    return {
        NAMES[:1]: _plan_calibration_error(pairs, sample),
        NAMES[1:2]: ranking.missing or _plan_log_loss(pairs),
    }


def _plan_calibration_error(pairs: Pairs, sample: Sample) -> Plan:
    if sample.rule == PredictionRule.NOTEBOOK:
        return "the notebook rule counts every record, not the top one of each image"
    y_pred, is_right = sample.y_pred[sample.counted], sample.is_right[sample.counted]
    predicted = y_pred >= 0
    if not predicted.any():
        return "no image has a prediction"
    return calibration_error(
        sample.confidence[sample.counted][predicted],
        is_right[predicted],
        pairs.places[predicted],
        pairs.n_images,
    )


def _plan_log_loss(pairs: Pairs) -> Plan:
    """Complete records only: rows of `n_labels` pairs an image."""
    scores = pairs.confidence.reshape(pairs.n_images, pairs.n_labels)
    if n := count_not_summing_to_one(scores):
        return f"the confidences of {n} of {len(scores)} images do not sum to 1 within 0.001"
    y_true = pairs.is_true.reshape(scores.shape).argmax(axis=1)
    return mean_of_images("log_loss", log_loss_of_images(scores, y_true), pairs.places)
