"""Numbers of a one-label classification that need the confidences, not only the predictions."""

from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, FloatArray
from mlrek.metrics import Number, PredictionRule
from mlrek.metrics.areas import Areas
from mlrek.metrics.calibration import (
    bin_predictions,
    calibration_error,
    check_consistency,
    count_not_summing_to_one,
    debias_calibration_error,
    find_effect,
    log_loss_of_images,
    mean_of_images,
)
from mlrek.metrics.counts import NO_TRUTH_REASON
from mlrek.metrics.estimates import leave_out_of_mean
from mlrek.metrics.intervals import Plan, compute_margin
from mlrek.metrics.jackknife import compute_skewed_interval
from mlrek.metrics.pairs import Pairs
from mlrek.metrics.prediction import Sample
from mlrek.metrics.ranking import RankedPairs, Ranking
from mlrek.metrics.resampling import evaluate
from mlrek.metrics.sampling import Units

NAMES: Final = ("ece", "ece_debiased", "log_loss", "roc_auc_macro", "average_precision_macro")
CONSISTENCY: Final = "ece_consistency_p"
NO_ECE_INTERVAL: Final = (
    "no interval: chance alone makes the plain error positive; ece_debiased has one"
)
_NOTEBOOK: Final = "the notebook rule counts every record, not the top one of each image"
MIN_WRONG: Final = 5
"""Wrong images that the interval of a log loss needs: their losses make most of the mean."""
_FEW_WRONG: Final = (
    "no interval: {} images are wrong, whose losses make most of the mean, and 5 are needed"
)
_NO_PREDICTION: Final = "no image has a prediction"


def compute_probability_numbers(
    ranked: RankedPairs, sample: Sample, areas: Areas, units: Units
) -> dict[str, Number]:
    """`ece`, `ece_debiased`, `log_loss`, `roc_auc_macro` and `average_precision_macro`.

    All but `ece` have intervals.

    Args:
        ranked: The scores of the images with truth.
        sample: The predictions.
        areas: The areas of labels.
        units: The units of the images with truth.
    """
    pairs = ranked.pairs
    if not pairs.n_images:
        return dict.fromkeys(NAMES, Number(value=nan, reason=NO_TRUTH_REASON))
    return {
        **_estimate_calibration(pairs, sample, units),
        "log_loss": _estimate_log_loss(
            pairs, ranked.ranking, units, int(np.count_nonzero(~sample.is_right[sample.counted]))
        ),
        **{name: areas.macro[name] for name in NAMES[-2:]},
    }


def _estimate_calibration(pairs: Pairs, sample: Sample, units: Units) -> dict[str, Number]:
    """`ece` and `ece_debiased`."""
    plan = _plan_calibration_error(pairs, sample)
    if isinstance(plan, str):
        return dict.fromkeys(NAMES[:2], Number(value=nan, reason=plan))
    value = float(evaluate(plan, pairs.n_images)["ece"])
    confidence, is_right, predicted = _select_predictions(sample)
    bins = bin_predictions(confidence, is_right)
    effect = (
        find_effect(is_right - confidence, units.unit_idx[predicted]) if units.are_groups else 1.0
    )
    debiased = debias_calibration_error(bins, compute_margin(units.confidence), effect)
    return {
        "ece": Number(value=value, reason=NO_ECE_INTERVAL),
        "ece_debiased": Number(value=debiased.value, reason=units.lacking)
        if units.lacking
        else Number(value=debiased.value, low=debiased.low, high=debiased.high),
    }


def compute_consistency(sample: Sample) -> dict[str, Number]:
    """The p of the test that the confidences are calibrated, where there are predictions."""
    confidence, is_right, _ = _select_predictions(sample)
    if sample.rule == PredictionRule.NOTEBOOK or not len(confidence):
        return {}
    return {CONSISTENCY: Number(value=check_consistency(confidence, is_right))}


def _select_predictions(sample: Sample) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Confidence and rightness of the predictions, and which images with truth have one."""
    predicted = sample.y_pred[sample.counted] >= 0
    confidence, is_right = sample.confidence[sample.counted], sample.is_right[sample.counted]
    return confidence[predicted], is_right[predicted], predicted


def _estimate_log_loss(pairs: Pairs, ranking: Ranking, units: Units, n_wrong: int) -> Number:
    """The mean over images; few wrong ones make most of it, so they must be there."""
    losses = _find_losses(pairs, ranking)
    if isinstance(losses, str):
        return Number(value=nan, reason=losses)
    value = float(
        evaluate(mean_of_images("log_loss", losses, pairs.places), len(losses))["log_loss"]
    )
    if units.lacking:
        return Number(value=value, reason=units.lacking)
    if n_wrong < MIN_WRONG:
        return Number(value=value, reason=_FEW_WRONG.format(n_wrong))
    low, high = compute_skewed_interval(value, leave_out_of_mean(losses, units), units.confidence)
    return Number(value=value, low=max(low, 0.0), high=high)


def plan_score_means(pairs: Pairs, sample: Sample, ranking: Ranking) -> dict[tuple[str, ...], Plan]:
    """How to compute `ece` and `log_loss` of weighted images, of which there must be one."""
    return {
        ("ece",): _plan_calibration_error(pairs, sample),
        ("log_loss",): _plan_log_loss(pairs, ranking),
    }


def _plan_calibration_error(pairs: Pairs, sample: Sample) -> Plan:
    if sample.rule == PredictionRule.NOTEBOOK:
        return _NOTEBOOK
    confidence, is_right, predicted = _select_predictions(sample)
    if not len(confidence):
        return _NO_PREDICTION
    return calibration_error(confidence, is_right, pairs.places[predicted], pairs.n_images)


def _plan_log_loss(pairs: Pairs, ranking: Ranking) -> Plan:
    losses = _find_losses(pairs, ranking)
    return losses if isinstance(losses, str) else mean_of_images("log_loss", losses, pairs.places)


def _find_losses(pairs: Pairs, ranking: Ranking) -> FloatArray | str:
    """The loss of each image, or why there is none; complete records are rows of all labels."""
    if ranking.missing:
        return ranking.missing
    scores = pairs.confidence.reshape(pairs.n_images, pairs.n_labels)
    if n := count_not_summing_to_one(scores):
        return f"the confidences of {n} of {len(scores)} images do not sum to 1 within 0.001"
    y_true = pairs.is_true.reshape(scores.shape).argmax(axis=1)
    return log_loss_of_images(scores, y_true)
