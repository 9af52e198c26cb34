"""Numbers at the provider's assumed threshold of each label, as the service behaves when called."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, Task
from mlrek.metrics import LabelScores, Number
from mlrek.metrics.areas import Areas
from mlrek.metrics.counts import AVERAGES, NOTHING_REASON, LabelCounts, compute_averages
from mlrek.metrics.estimates import estimate_counted, widen_means
from mlrek.metrics.label_scores import warn_zero_division
from mlrek.metrics.left_out import CountsLeftOut, leave_out_decisions, list_pair_decisions
from mlrek.metrics.naming import name_labels, select_labels
from mlrek.metrics.pairs import Pairs, count_predicted
from mlrek.metrics.sampling import Units

AT_THRESHOLD_NAMES: Final = tuple(
    f"{score}_{average}" for score in ("precision", "recall", "f1") for average in AVERAGES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtThreshold:
    """Averages and label scores at the assumed thresholds; no scores where none is published."""

    numbers: dict[str, Number]
    per_label: LabelScores | None = None
    warnings: tuple[str, ...] = ()


def compute_at_threshold(
    evaluation: Evaluation,
    pairs: Pairs,
    areas: Areas,
    units: Units,
) -> AtThreshold:
    """One label against the rest: predicted is every label whose confidence reaches its threshold.

    A label without a threshold has no scores and zero counts. When it is true on some image, there
    are no averages; else it stays out of them.

    Args:
        evaluation: What was read.
        pairs: The recorded pairs of the images that count.
        areas: The areas of labels, which do not depend on a threshold.
        units: The units of the same images.
    """
    thresholds = evaluation.thresholds
    unknown = np.isnan(thresholds)
    if unknown.all():
        return AtThreshold(numbers=_undefined("the provider publishes no thresholds"))
    is_predicted = pairs.confidence >= thresholds[pairs.label_idx]
    counts = count_predicted(pairs, is_predicted)
    left_out = leave_out_decisions(
        list_pair_decisions(evaluation.truth, pairs, is_predicted), units, pairs.n_labels
    )
    known = LabelCounts(
        tp=counts.tp, predicted=counts.predicted, support=np.where(unknown, 0, counts.support)
    )
    lacking = unknown & (counts.support > 0)
    if lacking.any():
        names = name_labels(select_labels(evaluation.labels, lacking))
        numbers = _undefined(f"no threshold is published for {names}")
    else:
        numbers = estimate_at_threshold(left_out, units, has_one_true=_has_one_true(evaluation))
    return AtThreshold(
        numbers=numbers,
        per_label=areas.score_labels(known, units.confidence, left_out.by_group),
        warnings=(
            *warn_zero_division(known, evaluation.labels, where=" at the assumed thresholds"),
            *_warn_left_out(evaluation, pairs, unknown & ~lacking),
        ),
    )


def estimate_at_threshold(
    left_out: CountsLeftOut,
    units: Units,
    *,
    has_one_true: bool = False,
    nothing: str = NOTHING_REASON,
) -> dict[str, Number]:
    """The averages with their intervals; with one true label an image recall is a plain share.

    `nothing` is the reason of undefined ones.
    """
    undefined = dict.fromkeys(AT_THRESHOLD_NAMES, nothing)
    numbers = estimate_counted(_compute_averages, left_out, units, undefined)
    numbers |= widen_means(numbers, left_out, units)
    if has_one_true:
        recall = left_out.find_shares("tp", "support").pool()
        numbers |= {
            name: recall.add_to(numbers[name], units.confidence)
            for name in ("recall_micro", "recall_weighted")
        }
    return numbers


def _compute_averages(counts: LabelCounts) -> dict[str, FloatArray]:
    averages = compute_averages(counts)
    return {name: averages[name] for name in AT_THRESHOLD_NAMES}


def _has_one_true(evaluation: Evaluation) -> bool:
    return evaluation.task == Task.CLASSIFICATION


def _undefined(reason: str) -> dict[str, Number]:
    return dict.fromkeys(AT_THRESHOLD_NAMES, Number(value=nan, reason=reason))


def _warn_left_out(evaluation: Evaluation, pairs: Pairs, left_out: BoolArray) -> Iterator[str]:
    """Records of labels that have neither a threshold nor a true image say nothing here."""
    n_records = np.bincount(pairs.label_idx, minlength=pairs.n_labels) * left_out
    if n_records.any():
        names = name_labels(select_labels(evaluation.labels, n_records > 0))
        yield f"no threshold is published for {names}: left out of at_threshold"
