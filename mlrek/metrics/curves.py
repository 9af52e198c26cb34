"""Numbers over all thresholds, and at the provider's assumed ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, RecordsKind, Task
from mlrek.metrics import LabelScores, Number, PrecisionRecallCurve, ThresholdCurves
from mlrek.metrics.areas import Areas
from mlrek.metrics.counts import (
    AVERAGES,
    NOTHING_REASON,
    LabelCounts,
    Pairs,
    compute_averages,
    count_predicted,
    find_reached,
    name_labels,
    select_labels,
)
from mlrek.metrics.estimates import estimate_counted, widen_means
from mlrek.metrics.falling import FallingScores, Places, pool_places, sort_labels
from mlrek.metrics.left_out import (
    CountsLeftOut,
    Units,
    leave_out_decisions,
    list_pair_decisions,
    warn_zero_division,
)

N_STEPS: Final = 101
_MAX_POINTS: Final = 400
_MAX_LABELS: Final = 25
_N_LOWEST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trace:
    """Precision and recall at distinct scores, falling, thinned; `area` is that of all of them."""

    label: str
    precision: FloatArray
    recall: FloatArray
    area: float


AT_THRESHOLD_NAMES: Final = tuple(
    f"{score}_{average}" for score in ("precision", "recall", "f1") for average in AVERAGES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtThreshold:
    """Averages and label scores at the assumed thresholds; no scores where none is published."""

    numbers: dict[str, Number]
    per_label: LabelScores | None = None
    warnings: tuple[str, ...] = ()


class LabelCurves:
    """Curves of an evaluation over the confidence, label by label.

    That of all pairs together is made first, so that their scores in order are never held with
    those of a label.
    """

    def __init__(self, evaluation: Evaluation, pairs: Pairs) -> None:
        self._evaluation, self._pairs = evaluation, pairs
        self._thresholds = np.arange(N_STEPS) / 100
        self._tp: list[IntArray] = []
        self._predicted: list[IntArray] = []
        has_curves = len(pairs.confidence) > 0 and pairs.support.any()
        self._traces = [_pool(pairs)] if has_curves else []

    @staticmethod
    def of(evaluation: Evaluation, pairs: Pairs) -> "LabelCurves":
        """Those of all labels."""
        curves = LabelCurves(evaluation, pairs)
        for scores in sort_labels(pairs):
            curves.add(scores)
        return curves

    @property
    def n_pairs(self) -> int:
        """How many pairs are recorded."""
        return len(self._pairs.confidence)

    def add(self, scores: FallingScores) -> None:
        """The next label."""
        i = len(self._tp)
        rising, n = scores.confidence[::-1], len(scores.confidence)
        predicted = n - np.searchsorted(rising, self._thresholds, side="left")
        self._predicted.append(predicted)
        self._tp.append(np.append(0, np.cumsum(scores.is_true))[predicted])
        n_true = int(self._pairs.support[i])
        if n and n_true:
            label = self._evaluation.labels[i]
            self._traces.append(_trace(label, scores.count_places(), n_true))

    def count_thresholds(self) -> ThresholdCurves:
        """Counts per label where a recorded pair is predicted at confidence >= i / 100.

        A true label that is not predicted at a threshold is a false negative there, with a record
        or without.
        """
        shape = self._pairs.n_labels, N_STEPS
        tp = np.array(self._tp, dtype=np.int64).reshape(shape).T
        predicted = np.array(self._predicted, dtype=np.int64).reshape(shape).T
        return ThresholdCurves(
            thresholds=self._thresholds,
            tp=tp,
            fp=predicted - tp,
            fn=self._pairs.support - tp,
            stops_at=say_stop(self._evaluation),
        )

    def trace_precision(self) -> tuple[PrecisionRecallCurve, ...]:
        """The curve of all pairs together, then those of the labels that are true on some image.

        Past 25 labels only the ten with the smallest area, which is their average precision where
        the records are complete. Long curves keep at most 400 points.
        """
        pooled, traces = self._traces[:1], self._traces[1:]
        if len(self._evaluation.labels) > _MAX_LABELS:
            smallest = sorted(trace.area for trace in traces)[:_N_LOWEST]
            traces = [trace for trace in traces if trace.area <= smallest[-1]][:_N_LOWEST]
        complete = self._evaluation.records_kind == RecordsKind.COMPLETE
        return tuple(
            PrecisionRecallCurve(
                label=trace.label,
                precision=trace.precision,
                recall=trace.recall,
                average_precision=trace.area if complete else nan,
            )
            for trace in (*pooled, *traces)
        )


def say_stop(evaluation: Evaluation) -> str:
    """Where the records stop, '' where they do not."""
    kind, n_records = evaluation.records_kind, len(evaluation.records.confidence)
    if kind == RecordsKind.COMPLETE:
        return ""
    if not n_records:
        return "no label is recorded on any image"
    if kind == RecordsKind.TOP1:
        return "only the top label of each image is recorded"
    published = evaluation.thresholds[~np.isnan(evaluation.thresholds)]
    if len(published):
        return f"below the assumed thresholds ({_span(published)}) the records are incomplete"
    share = n_records / (len(evaluation.images) * len(evaluation.labels))
    return f"the records are incomplete: {share:.0%} of all labels of all images"


def warn_constant(evaluation: Evaluation, pairs: Pairs) -> Iterator[str]:
    """Confidences that do not vary draw no curve; of complete records that is a doubt."""
    confidence = pairs.confidence
    is_complete = evaluation.records_kind == RecordsKind.COMPLETE
    if is_complete or len(confidence) <= 1 or not evaluation.is_scored:
        return
    if confidence.min() == confidence.max():
        said = f"all {len(confidence)} records have the confidence {confidence[0]:.6g}"
        yield f"{said}: curves say nothing"


def _pool(pairs: Pairs) -> _Trace:
    """The trace of all labels together."""
    places = pool_places(pairs.confidence, pairs.is_true)
    return _trace("", places, int(pairs.support.sum()))


def _trace(label: str, places: Places, n_true: int) -> _Trace:
    rises = np.flatnonzero(places.positive)  # recall stays where it is at the other places
    recall = places.tp[rises] / n_true
    precision = places.tp[rises] / places.predicted[rises]
    kept = _spread_points(len(places.tp), rises, recall)
    tp = places.tp[kept]
    return _Trace(
        label=label,
        precision=tp / places.predicted[kept],
        recall=tp / n_true,
        area=float(np.sum(np.diff(recall, prepend=0.0) * precision)),
    )


def _spread_points(n: int, rises: IntArray, recall: FloatArray) -> IntArray:
    """At most 400 of n places, half of them evenly along recall, half along the ranks.

    `recall` is that at the places where it `rises`, (n_rises,) both.
    """
    if n <= _MAX_POINTS:
        return np.arange(n)
    half = _MAX_POINTS // 2
    along_ranks = np.linspace(0, n - 1, half).astype(np.int64)
    if not len(rises):
        return along_ranks
    along_recall = rises[np.searchsorted(recall, np.linspace(0, recall[-1], half)[1:])]
    return np.union1d(along_recall, along_ranks)


def _span(values: FloatArray) -> str:
    low, high = f"{values.min():.2g}", f"{values.max():.2g}"
    return low if low == high else f"{low} to {high}"


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
    is_predicted = find_reached(pairs.confidence, pairs.label_idx, thresholds)
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
    if not left_out.any():
        return
    n_records = np.bincount(pairs.label_idx, minlength=pairs.n_labels) * left_out
    if n_records.any():
        names = name_labels(select_labels(evaluation.labels, n_records > 0))
        yield f"no threshold is published for {names}: left out of at_threshold"
