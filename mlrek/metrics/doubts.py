"""Doubts that the numbers show: fitted thresholds, constant confidences, short intervals."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from math import isnan
from typing import Final

import numpy as np

from mlrek.evaluation import (
    Doubt,
    DoubtKind,
    Effect,
    Evaluation,
    FloatArray,
    IntArray,
    Provider,
    RecordsKind,
    Task,
)
from mlrek.metrics import Metrics, PredictionRule, Reconciled
from mlrek.metrics.areas import MIN_OF_KIND
from mlrek.metrics.counts import AVERAGES, FRACTIONS
from mlrek.metrics.decisions import AVERAGE_NAMES, DEFAULT_THRESHOLD

RESPONSES_ROLE: Final = "responses"
"""The file of answers that an evaluation on your own test set was made of."""

MIN_SHARED: Final = 0.1
"""Your own test set is doubted where at least this share of it is the service's."""

_AT_THRESHOLDS: Final = ("at_threshold/*", "label_at_threshold_*", "reported/*", "label_reported_*")
_LABEL_NAMES: Final = tuple(
    f"label_{name}" for name in ("precision", "recall", "f1", "tp", "fp", "fn")
)
_SEVERAL_LABELS: Final = (
    *(f"aggregate/{name}" for name in (*AVERAGE_NAMES, "subset_accuracy", "hamming_loss")),
    *_LABEL_NAMES,
)
_ONE_LABEL: Final = (
    *(f"aggregate/{score}_{average}" for score in FRACTIONS for average in AVERAGES),
    *(
        f"aggregate/{name}"
        for name in (
            "accuracy",
            "balanced_accuracy",
            "hamming_loss",
            "mcc",
            "cohen_kappa",
            "ece",
            "ece_debiased",
        )
    ),
    *_LABEL_NAMES,
)
_WAY_OUT: Final = (
    "test the version on images of your own (mlrek evaluate --on), or accept this in the policy"
)

BOX_AREAS: Final = ("aggregate/ap*", "aggregate/ar_100", "label_ap")
"""Numbers over all boxes of a detection, however little the model was sure of them."""

_REPORTED: Final = ("reported/*", "label_reported_*")
_TEST_IMAGES: Final = "test_images"
_N_NAMED: Final = 3

RANKED_NUMBERS: Final = (
    "aggregate/ap*",
    "aggregate/average_precision*",
    "aggregate/roc_auc*",
    "label_ap",
    "label_roc_auc",
    "curve/*",
)
"""Numbers that need an order of records."""

_RANKED: Final = ("ap", "average_precision", "roc_auc")
"""What names of numbers that need an order begin with."""

FEW_LABELS: Final = 4
"""With fewer labels one of them makes the mean over labels."""

MIN_PER_LABEL: Final = 6
"""Images a label, on average, that a mean of areas needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """Units (images, or groups) with each label, and without it, (n_labels,) each.

    Without boxes and masks, whose labels are not of images.
    """

    task: Task
    having: IntArray
    lacking: IntArray

    @property
    def least(self) -> IntArray:
        """Those with a label or without it, whichever are fewer, (n_labels,)."""
        return np.minimum(self.having, self.lacking)

    @property
    def rarest(self) -> int:
        """The fewest units of a kind, with a label or without, among labels that have an area."""
        return int(self.least[self.least > 0].min(initial=self.having.sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Which intervals are short on which test sets; `say` tells of what there is too little."""

    names: tuple[str, ...]
    is_short: Callable[[Support], bool]
    say: Callable[[Support], str]


RULES: Final = (
    _Rule(
        names=("roc_auc_macro",),
        is_short=lambda s: len(s.having) < FEW_LABELS and s.rarest < MIN_OF_KIND,
        say=lambda s: f"{s.rarest} images of the rarest kind make it, and {MIN_OF_KIND} are needed",
    ),
    _Rule(
        names=("roc_auc_macro", "average_precision_macro"),
        is_short=lambda s: s.having.sum() < MIN_PER_LABEL * len(s.having),
        say=lambda s: (
            f"there are {s.having.sum() / len(s.having):.1f} images a label, and {MIN_PER_LABEL} "
            "are needed"
        ),
    ),
    _Rule(
        names=("ap_small", "ap_medium", "ap_large", "label_ap"),
        is_short=lambda s: s.task is Task.DETECTION,
        say=lambda _: "it did with 100 images, and with 300",
    ),
    _Rule(
        names=("pixel_precision", "pixel_recall", "label_precision", "label_recall"),
        is_short=lambda s: s.task is Task.SEGMENTATION,
        say=lambda _: "it did with 100 images, and with 300",
    ),
)
"""2 labels 97:3 with 300 images, 20 labels with 100, boxes, masks: they lie above too often."""


def doubt_records(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """What weakens the numbers of an evaluation, as they show."""
    yield from _doubt_boxes(evaluation, metrics)
    yield from _doubt_top_only(evaluation, metrics)
    yield from _doubt_foreign(evaluation, metrics)
    yield from doubt_reported(metrics.reconciliation)


def doubt_reported(reconciled: tuple[Reconciled, ...]) -> Iterator[Doubt]:
    """That the service's numbers differ from ours by the same rule, the farthest apart by name.

    The number of test images is left to the doubt of missing ones.
    """
    compared = [n for n in reconciled if n.agrees is not None and n.name != _TEST_IMAGES]
    apart = sorted((number for number in compared if not number.agrees), key=_distance)
    if apart:
        named = "; ".join(
            f"{number.name!r} reported {number.reported:.6g}, computed {number.computed:.6g} "
            f"({number.rule})"
            for number in apart[:_N_NAMED]
        )
        more = "; …" if len(apart) > _N_NAMED else ""
        yield Doubt(
            kind=DoubtKind.REPORTED_DIFFERS,
            text=(
                f"{len(apart)} of {len(compared)} reported numbers that can be compared differ "
                f"from what the records give: {named}{more}"
            ),
            count=len(apart),
            of=len(compared),
            touches=_REPORTED,
        )


def _distance(number: Reconciled) -> tuple[float, str]:
    """Sorts what is farthest apart first, relative to its size."""
    size = max(abs(number.reported), abs(number.computed))
    return -abs(number.reported - number.computed) / size, number.name


def _doubt_boxes(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Of partial boxes average precision is a lower bound; with the matched ones it flatters."""
    detections = evaluation.detections if evaluation.is_scored else None
    if metrics.records is not RecordsKind.PARTIAL or detections is None:
        return
    if not np.any(detections.records.confidence > 0):
        return
    yield Doubt(
        kind=DoubtKind.RECORDS_PARTIAL,
        text=(
            "boxes below their threshold that find nothing are not published: every average "
            "precision and ar_100 look at the predictions alone and are lower bounds"
        ),
        touches=BOX_AREAS,
    )
    if metrics.extra:
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                "average precision with the matched boxes below their threshold lacks the others "
                "there, and is an upper bound"
            ),
            touches=("extra/*",),
            own_effect=Effect.STOPS,
        )


def _doubt_top_only(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Counts images where a label below the top one may reach its threshold unseen."""
    records, n_labels = evaluation.records, len(evaluation.labels)
    is_top1 = evaluation.is_scored and metrics.records is RecordsKind.TOP1
    if not is_top1 or not len(records.confidence) or n_labels <= 1:
        return
    default = DEFAULT_THRESHOLD if metrics.task is Task.MULTILABEL else np.inf
    thresholds = np.nan_to_num(evaluation.thresholds, nan=default)
    lowest = np.sort(thresholds)[:2]
    other = np.where(records.label_idx == np.argmin(thresholds), lowest[1], lowest[0])
    n = np.count_nonzero(other <= records.confidence)
    if n:
        touches = find_touched(metrics.task, metrics.prediction_rule)
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"only the top label of each image is recorded: on {n} images another label may "
                "reach its threshold unseen, and numbers at the thresholds leave it out"
            ),
            count=int(n),
            of=len(evaluation.images),
            touches=tuple(name for name in touches if name not in _REPORTED),
            own_effect=Effect.STOPS,
        )


def _doubt_foreign(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Widens the doubt of a summary of another version to what a rule reads at thresholds.

    Without its own thresholds the records' flags decide, or 0.5.
    """
    touches = find_touched(metrics.task, metrics.prediction_rule)
    for doubt in evaluation.doubts:
        is_foreign = doubt.kind is DoubtKind.FOREIGN_SUMMARY
        if is_foreign and not all(map(doubt.touches_number, touches)):
            yield replace(doubt, touches=touches)


def doubt_fitted(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """The doubt, where the version's thresholds were chosen on the images of this evaluation."""
    touches = find_touched(metrics.task, metrics.prediction_rule)
    for doubt in evaluation.doubts:
        if doubt.kind is DoubtKind.THRESHOLDS_FITTED:  # made when your own test set was read
            if not set(touches) <= set(doubt.touches):
                yield replace(doubt, touches=touches)
            return
    if is_fitted(evaluation):
        yield Doubt(
            kind=DoubtKind.THRESHOLDS_FITTED,
            text="the service chose its thresholds for the best F1 on this very test set: numbers "
            f"at these thresholds are higher than new images will show; {_say_way(metrics)}",
            count=metrics.test_images,
            of=metrics.test_images,
            touches=touches,
        )


def doubt_shared(version: Evaluation, images: Sequence[str], task: Task) -> Iterator[Doubt]:
    """The doubt of your own test set, where many of its images are the service's.

    Args:
        version: Its evaluation by the provider, with the images that its thresholds were chosen on.
        images: Of your own test set.
        task: Of the evaluation on your own test set.
    """
    shared = len(set(images) & set(version.images))
    if is_fitted(version) and shared and shared >= MIN_SHARED * len(set(images)):
        yield Doubt(
            kind=DoubtKind.THRESHOLDS_FITTED,
            text=f"{shared} of these {len(set(images))} images are among those on which the "
            "service chose its thresholds: numbers at these thresholds are higher than new images "
            "will show",
            count=shared,
            of=len(set(images)),
            touches=find_touched(task, ""),
        )


def find_touched(task: Task, prediction_rule: str) -> tuple[str, ...]:
    """The numbers that depend on the assumed thresholds."""
    if task == Task.MULTILABEL:
        return (*_AT_THRESHOLDS, *_SEVERAL_LABELS)
    if task == Task.CLASSIFICATION and prediction_rule == PredictionRule.THRESHOLD:
        return (*_AT_THRESHOLDS, *_ONE_LABEL)
    return _AT_THRESHOLDS


def is_fitted(evaluation: Evaluation) -> bool:
    """Whether the service chose the version's thresholds on the images of this evaluation."""
    is_adapter = evaluation.baseline is not None or evaluation.reported.baseline is not None
    is_own = any(file.role == RESPONSES_ROLE for file in evaluation.files)
    is_rekognition = evaluation.version.project.provider is Provider.REKOGNITION
    return is_rekognition and not is_adapter and not is_own


def _say_way(metrics: Metrics) -> str:
    """What is read instead, or what can be done where nothing is."""
    number, fitted = metrics.crossfit.get("f1_macro"), metrics.at_threshold.get("f1_macro")
    if number is None or fitted is None or isnan(number.value):
        kind = f", as records are {metrics.records}" if metrics.records else ""
        return f"no cross-fitted values can stand in for them{kind}: {_WAY_OUT}"
    return (
        "checks read cross-fitted values in their place "
        f"(F1 macro {number.value:.3f}, not {fitted.value:.3f})"
    )


def doubt_constant(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Doubts numbers that follow from an order of records which all have one confidence.

    Their order is then that of the images' names. A box that was never found (confidence 0) is
    no detection. Nothing is doubted where no number needs an order.
    """
    confidence = _list_confidences(evaluation)
    ranked = any(
        number.is_defined and name.startswith(_RANKED) for name, number in metrics.aggregate.items()
    )
    if ranked and len(confidence) > 1 and np.ptp(confidence) == 0:
        what = "boxes" if evaluation.detections is not None else "records"
        yield Doubt(
            kind=DoubtKind.CONFIDENCE_CONSTANT,
            text=(
                f"all {len(confidence):,} {what} have the same confidence "
                f"({float(confidence[0]):g}): average precision, areas under curves and curves "
                "rank nothing"
            ),
            count=len(confidence),
            of=len(confidence),
            touches=RANKED_NUMBERS,
        )


def _list_confidences(evaluation: Evaluation) -> FloatArray:
    """Of each record or box; of two classes whose confidences add up, that of the surer one."""
    if evaluation.detections is not None:
        confidence = evaluation.detections.records.confidence
        return confidence[confidence > 0]
    records = evaluation.records
    if evaluation.pos_label and len(records.confidence):
        starts = records.offsets[:-1][records.counts > 0]
        return np.asarray(np.maximum.reduceat(records.confidence, starts))
    return records.confidence


def doubt_short(
    evaluation: Evaluation, metrics: Metrics, groups: IntArray | None = None
) -> Iterator[Doubt]:
    """The doubt of each rule that holds, on those of its numbers that have an interval.

    Args:
        evaluation: What was read.
        metrics: Its numbers.
        groups: The group of each image, (n_images,), where groups are the units.
    """
    given = _list_given(metrics) & {name for rule in RULES for name in rule.names}
    if given:
        yield from find_short(_count_own(evaluation, groups), given)


def find_short(support: Support, given: AbstractSet[str], what: str = "") -> Iterator[Doubt]:
    """The doubt of each rule that holds on such a test set.

    Args:
        support: Of its labels.
        given: Short names of the numbers that have an interval.
        what: Words for what the interval is of, before the names.
    """
    left = set(given)
    for rule in RULES:
        names = [name for name in rule.names if name in left]
        if names and rule.is_short(support):
            yield Doubt(
                kind=DoubtKind.INTERVAL_SHORT,
                text=(
                    f"the 95 % interval of {what}{', '.join(names)} misses more often than it says "
                    f"on test sets like this: {rule.say(support)}"
                ),
                touches=tuple(f"interval/{name}" for name in names),
            )
            left.difference_update(names)


def count_support(
    task: Task, cells: tuple[IntArray, IntArray], unit: IntArray, n_labels: int
) -> Support:
    """The units with each label, and without it.

    Args:
        task: What the images are for.
        cells: Image and label of what is true, (n,) each; repeats count once.
        unit: The unit of each image, (n_images,); -1 for an image that does not count.
        n_labels: How many labels there are.
    """
    sizes = np.bincount(unit[unit >= 0], minlength=1)
    pairs = np.unique(cells[0] * n_labels + cells[1])  # a label once an image
    pairs = pairs[unit[pairs // n_labels] >= 0]
    found, n_images = np.unique(
        unit[pairs // n_labels] * n_labels + pairs % n_labels, return_counts=True
    )
    label_idx, has_all = found % n_labels, n_images == sizes[found // n_labels]
    having = np.bincount(label_idx, minlength=n_labels)
    lacking = np.count_nonzero(sizes) - np.bincount(label_idx[has_all], minlength=n_labels)
    return Support(task=task, having=having, lacking=lacking)


def _list_given(metrics: Metrics) -> set[str]:
    """The short names of numbers that have an interval, of labels with `label_` before them."""
    given = {name for name, number in metrics.aggregate.items() if not isnan(number.low)}
    scores = metrics.per_label
    if scores is not None:
        lows = {"ap": scores.ap_low, "precision": scores.precision_low, "recall": scores.recall_low}
        given |= {
            f"label_{name}"
            for name, low in lows.items()
            if low is not None and not np.isnan(low).all()
        }
    return given


def _count_own(evaluation: Evaluation, groups: IntArray | None) -> Support:
    """Of images with a truth, or of all where an image may have several labels."""
    truth = evaluation.truth
    if groups is None:
        one_label = evaluation.task is Task.CLASSIFICATION
        n_units = int(np.count_nonzero(truth.counts)) if one_label else len(truth.counts)
        having = np.bincount(truth.label_idx, minlength=len(evaluation.labels))
        return Support(task=evaluation.task, having=having, lacking=n_units - having)
    kept = (truth.counts > 0) | (evaluation.task is not Task.CLASSIFICATION)
    unit = np.where(kept, np.arange(len(kept)) if groups is None else groups, -1)
    cells = truth.image_idx, truth.label_idx
    return count_support(evaluation.task, cells, unit, len(evaluation.labels))
