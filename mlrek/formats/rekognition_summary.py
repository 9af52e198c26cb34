"""Rekognition's summary file (`EvaluationResultSummary-….json`): bytes -> reported numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from msgspec.json import Decoder

from mlrek.evaluation import Reported
from mlrek.formats.described import (
    Count,
    Number,
    decode_summary,
    keep_count,
    keep_numbers,
    warn_repeated,
    warn_time,
)
from mlrek.formats.json_text import LabelName, NotANumber
from mlrek.formats.moderation_summary import ContentModeration, report_adapter
from mlrek.formats.timestamps import parse_timestamp

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
