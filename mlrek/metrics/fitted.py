"""The doubt `thresholds_fitted`: numbers at thresholds that were chosen on the images they count.

Rekognition chooses each label's assumed threshold for the best F1 on the version's own test set.
Google publishes numbers over all thresholds, read where the user says (0.5 unless asked otherwise);
Lookout for Vision names no threshold; an adapter of Rekognition's moderation is read at the
threshold that its owner entered: none of these is chosen on the test set.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan
from typing import Final

from mlrek.evaluation import Doubt, DoubtKind, Evaluation, Provider, Task
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.counts import AVERAGES, FRACTIONS
from mlrek.metrics.image_sums import AVERAGE_NAMES

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


def doubt_fitted(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """The doubt, where the version's thresholds were chosen on the images of this evaluation."""
    touches = find_touched(metrics.task, metrics.prediction_rule)
    for doubt in evaluation.doubts:
        if doubt.kind is DoubtKind.THRESHOLDS_FITTED:  # made when your own test set was read
            if not set(touches) <= set(doubt.touches):
                yield replace(doubt, touches=touches)
            return
    if _is_fitted(evaluation):
        yield Doubt(
            kind=DoubtKind.THRESHOLDS_FITTED,
            text="the service chose its thresholds for the best F1 on this very test set: numbers "
            f"at these thresholds are higher than new images will show; {_describe_way(metrics)}",
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
    if _is_fitted(version) and shared and shared >= MIN_SHARED * len(set(images)):
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


def _is_fitted(evaluation: Evaluation) -> bool:
    is_adapter = evaluation.baseline is not None or evaluation.reported.baseline is not None
    is_own = any(file.role == RESPONSES_ROLE for file in evaluation.files)
    is_rekognition = evaluation.version.project.provider is Provider.REKOGNITION
    return is_rekognition and not is_adapter and not is_own


def _describe_way(metrics: Metrics) -> str:
    """What is read instead, or what can be done where nothing is."""
    number, fitted = metrics.crossfit.get("f1_macro"), metrics.at_threshold.get("f1_macro")
    if number is None or fitted is None or isnan(number.value):
        kind = f", as records are {metrics.records}" if metrics.records else ""
        return f"no cross-fitted values can stand in for them{kind}: {_WAY_OUT}"
    return (
        "checks read cross-fitted values in their place "
        f"(f1_macro {number.value:.3f}, not {fitted.value:.3f})"
    )
