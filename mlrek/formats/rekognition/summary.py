"""Rekognition's summary file (`EvaluationResultSummary-….json`): bytes -> reported numbers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import Annotated, TypeAlias

import numpy as np
from msgspec import Meta, Struct
from msgspec.json import Decoder

from mlrek.evaluation import Reported, ReportedCurve
from mlrek.formats.json_text import LabelName, NotANumber, parse_timestamp
from mlrek.formats.lines import (
    Count,
    Number,
    decode_summary,
    keep_count,
    keep_numbers,
    warn_repeated,
    warn_time,
)

_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _Counts(Struct, rename="pascal"):
    true_positive: _Count = 0
    false_positive: _Count = 0
    false_negative: _Count = 0
    true_negative: _Count = 0


class _Models(Struct, rename="pascal"):
    base_model: _Counts | None = None
    adapter: _Counts | None = None


class _LabelModels(_Models, rename="pascal"):
    label: LabelName = ""


class _AtThreshold(Struct, rename="pascal"):
    confidence_threshold: Annotated[float, Meta(ge=0, le=100)] | None = None
    aggregated_evaluation_results: _Models | None = None
    label_evaluation_results: list[_LabelModels] | None = None


class ContentModeration(Struct, rename="pascal"):
    """The part of a summary that only adapters have."""

    input_confidence_threshold_eval_results: _AtThreshold | None = None
    all_confidence_thresholds_eval_results: list[_AtThreshold] | None = None


_Choose: TypeAlias = Callable[[_Models], _Counts | None]

_Threshold: TypeAlias = Annotated[float, Meta(ge=0, le=1)] | NotANumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a summary file says.

    `labels` in the provider's order, then those that only have results; `evaluation_end_ms` is
    milliseconds since the epoch, UTC. Assumed thresholds are `reported.per_label[…]["threshold"]`.
    """

    version_arn: str = ""
    labels: tuple[str, ...] = ()
    reported: Reported = field(default_factory=Reported)
    evaluation_end_ms: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_detection(self) -> bool:
        """Whether it holds the averages that only object detection has."""
        return not self.reported.aggregate.keys().isdisjoint(
            ("average_precision", "average_recall")
        )

    @property
    def is_adapter(self) -> bool:
        """Whether it is the summary of a custom moderation adapter."""
        return self.reported.baseline is not None

    @property
    def has_several_labels_an_image(self) -> bool:
        """Whether the labels' image counts add up to more than there are images."""
        counts = (scores.get("test_images", 0) for scores in self.reported.per_label.values())
        return self.reported.test_images is not None and sum(counts) > self.reported.test_images


class _Cell(Struct, rename="pascal"):
    ground_truth_label: str
    predicted_label: str
    value: Number = None


class _Scores(Struct, rename="pascal"):
    precision: Number = None
    recall: Number = None
    f1_score: Number = None
    average_precision: Number = None
    average_recall: Number = None
    threshold: _Threshold = None
    confusion_matrix: list[_Cell] | None = None


class _Aggregates(_Scores, rename="pascal"):
    metrics: _Scores | None = None  # an extra layer that the service's reference page shows


class _LabelResult(Struct, rename="pascal"):
    label: LabelName
    number_of_testing_images: Count = None
    metrics: _Scores | None = None


class _Details(Struct, rename="pascal"):
    project_version_arn: str | None = None
    evaluation_end_timestamp: str | None = None
    labels: list[LabelName] | None = None
    number_of_training_images: Count = None
    number_of_testing_images: Count = None


class _SummaryFile(Struct, rename="pascal"):
    evaluation_details: _Details | None = None
    aggregated_evaluation_results: _Aggregates | None = None
    label_evaluation_results: list[_LabelResult] | None = None
    content_moderation: ContentModeration | None = None


_DECODER = Decoder(_SummaryFile)


def parse_summary(uri: str, data: bytes) -> Summary:
    """What a summary file says; a number it leaves out, or gives as null or NaN, is absent.

    Raises:
        ParseError: It is not JSON, or a key holds something else than its format says.
    """
    file = decode_summary(_DECODER, uri, data, "a Rekognition evaluation summary")
    details = file.evaluation_details or _Details()
    results = file.label_evaluation_results or []
    aggregates = file.aggregated_evaluation_results or _Aggregates()
    end_ms = parse_timestamp(details.evaluation_end_timestamp)
    labels = tuple(dict.fromkeys((*(details.labels or ()), *(r.label for r in results))))
    reported = _report(aggregates, results, details)
    if file.content_moderation is not None:
        reported = report_adapter(file.content_moderation, reported, labels)
        labels = tuple(reported.per_label)
    return Summary(
        version_arn=details.project_version_arn or "",
        labels=labels,
        reported=reported,
        evaluation_end_ms=end_ms,
        warnings=(
            *warn_repeated(uri, [result.label for result in results]),
            *warn_time(uri, details.evaluation_end_timestamp, end_ms),
        ),
    )


def _report(
    aggregates: _Aggregates, results: Iterable[_LabelResult], details: _Details
) -> Reported:
    inner = aggregates.metrics or _Scores()
    cells = inner.confusion_matrix or aggregates.confusion_matrix or []
    per_label: dict[str, Mapping[str, float]] = {}
    for result in results:
        scores = _scores(result.metrics or _Scores(), result.number_of_testing_images)
        per_label.setdefault(result.label, scores)
    return Reported(
        aggregate=_scores(aggregates) | _scores(inner),
        per_label=per_label,
        confusion=tuple(
            (cell.ground_truth_label, cell.predicted_label, cell.value)
            for cell in cells
            if isinstance(cell.value, float) and isfinite(cell.value)
        ),
        test_images=keep_count(details.number_of_testing_images),
        train_images=keep_count(details.number_of_training_images),
    )


def _scores(scores: _Scores, test_images: Count = None) -> dict[str, float]:
    return keep_numbers(
        precision=scores.precision,
        recall=scores.recall,
        f1=scores.f1_score,
        average_precision=scores.average_precision,
        average_recall=scores.average_recall,
        threshold=scores.threshold,
        test_images=test_images,
    )


def report_adapter(part: ContentModeration, reported: Reported, labels: Sequence[str]) -> Reported:
    """The adapter's numbers, with the base model's as their baseline.

    Precision, recall and F1 follow from the published counts at the threshold that the adapter was
    trained for, which is the assumed threshold of every label. A published F1 counts before ours.

    Args:
        part: What only an adapter's summary has.
        reported: What the rest of the summary says.
        labels: The labels it was trained on.
    """
    at_input = part.input_confidence_threshold_eval_results or _AtThreshold()
    sweep = part.all_confidence_thresholds_eval_results or []
    adapter = _report_moderation(at_input, sweep, lambda models: models.adapter)
    threshold = _threshold(at_input)
    known = (*labels, *adapter.per_label)
    return replace(
        reported,
        aggregate={**adapter.aggregate, **threshold, **reported.aggregate},
        per_label={
            label: {
                **adapter.per_label.get(label, {}),
                **threshold,
                **reported.per_label.get(label, {}),
            }
            for label in dict.fromkeys(known)
        },
        curves=adapter.curves,
        baseline=_report_moderation(at_input, sweep, lambda models: models.base_model),
    )


def _report_moderation(
    at_input: _AtThreshold, sweep: Iterable[_AtThreshold], choose: _Choose
) -> Reported:
    """The numbers of one of the two models."""
    rising = sorted(
        (one for one in sweep if one.confidence_threshold is not None),
        key=lambda one: one.confidence_threshold or 0,
    )
    each = [_by_label(one, choose) for one in rising]
    names = dict.fromkeys(name for counts in each for name in counts)
    thresholds = [(one.confidence_threshold or 0) / 100 for one in rising]
    at_input_counts = _by_label(at_input, choose)
    return Reported(
        aggregate=_score(at_input_counts.pop("", None)),
        per_label={label: _score(counts) for label, counts in at_input_counts.items()},
        curves={
            name: _make_curve(thresholds, [counts.get(name) for counts in each]) for name in names
        },
    )


def _by_label(one: _AtThreshold, choose: _Choose) -> dict[str, _Counts]:
    """Counts by label, '' for all labels together."""
    models = {"": one.aggregated_evaluation_results or _Models()}
    models |= {label.label: label for label in one.label_evaluation_results or []}
    return {name: counts for name, both in models.items() if (counts := choose(both)) is not None}


def _threshold(at_input: _AtThreshold) -> Mapping[str, float]:
    percent = at_input.confidence_threshold
    return {} if percent is None else {"threshold": percent / 100}


def _score(counts: _Counts | None) -> dict[str, float]:
    """The counts, and what follows of them where it is defined."""
    if counts is None:
        return {}
    tp, fp, fn = counts.true_positive, counts.false_positive, counts.false_negative
    shares = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }
    return {
        **{name: part / whole for name, (part, whole) in shares.items() if whole},
        "tp": float(tp),
        "fp": float(fp),
        "fn": float(fn),
        "tn": float(counts.true_negative),
    }


def _make_curve(thresholds: Sequence[float], counts: Sequence[_Counts | None]) -> ReportedCurve:
    scores = [_score(one) for one in counts]
    columns = {
        name: np.array([score.get(name, nan) for score in scores], dtype=np.float64)
        for name in ("precision", "recall", "f1", "tp", "fp", "fn", "tn")
    }
    return ReportedCurve(thresholds=np.array(thresholds, dtype=np.float64), **columns)
