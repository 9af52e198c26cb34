"""Numbers at the provider's assumed threshold of each label, as the service behaves when called."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, FloatArray
from mlrek.metrics import LabelScores, Number
from mlrek.metrics.counts import AVERAGES, NOTHING_REASON, LabelCounts, compute_averages
from mlrek.metrics.label_scores import score_labels, warn_zero_division
from mlrek.metrics.naming import name_labels, select_labels
from mlrek.metrics.pairs import Pairs, count_predicted
from mlrek.metrics.resampling import CONFIDENCE

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
    ap: FloatArray,
    roc_auc: FloatArray,
    confidence: float = CONFIDENCE,
) -> AtThreshold:
    """One label against the rest: predicted is every label whose confidence reaches its threshold.

    A label without a threshold has no scores and zero counts. When it is true on some image, there
    are no averages; else it stays out of them.
    """
    thresholds = evaluation.thresholds
    unknown = np.isnan(thresholds)
    if unknown.all():
        return AtThreshold(numbers=_undefined("the provider publishes no thresholds"))
    counts = count_predicted(pairs, pairs.confidence >= thresholds[pairs.label_idx])
    known = LabelCounts(
        tp=counts.tp, predicted=counts.predicted, support=np.where(unknown, 0, counts.support)
    )
    lacking = unknown & (counts.support > 0)
    if lacking.any():
        names = name_labels(select_labels(evaluation.labels, lacking))
        numbers = _undefined(f"no threshold is published for {names}")
    else:
        averages = compute_averages(counts)
        numbers = {name: _number(float(averages[name])) for name in AT_THRESHOLD_NAMES}
    return AtThreshold(
        numbers=numbers,
        per_label=score_labels(known, ap, roc_auc, confidence),
        warnings=(
            *warn_zero_division(known, evaluation.labels, where=" at the assumed thresholds"),
            *_warn_left_out(evaluation, pairs, unknown & ~lacking),
        ),
    )


def _number(value: float) -> Number:
    return Number(value=value, reason=NOTHING_REASON if np.isnan(value) else "")


def _undefined(reason: str) -> dict[str, Number]:
    return dict.fromkeys(AT_THRESHOLD_NAMES, Number(value=nan, reason=reason))


def _warn_left_out(evaluation: Evaluation, pairs: Pairs, left_out: BoolArray) -> Iterator[str]:
    """Records of labels that have neither a threshold nor a true image say nothing here."""
    n_records = np.bincount(pairs.label_idx, minlength=pairs.n_labels) * left_out
    if n_records.any():
        names = name_labels(select_labels(evaluation.labels, n_records > 0))
        yield f"no threshold is published for {names}: left out of at_threshold"
