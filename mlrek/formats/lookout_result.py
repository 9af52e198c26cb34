"""Lookout for Vision's result file (`EvaluationResult-….json`): bytes -> reported numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec import field as key
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
from mlrek.formats.json_text import LabelName
from mlrek.formats.lookout_line import is_background
from mlrek.formats.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutResult:
    """What a result file says.

    `pixel_labels` are the kinds of anomaly of a segmentation model, in the file's order; their
    numbers, `aiou` (average IoU) among them, are `reported.per_label`. `evaluation_end_ms` is
    milliseconds since the epoch, UTC.
    """

    model_arn: str = ""
    pixel_labels: tuple[str, ...] = ()
    has_pixel_numbers: bool = False
    reported: Reported = field(default_factory=Reported)
    evaluation_end_ms: int | None = None
    warnings: tuple[str, ...] = ()


class _PixelScores(Struct, rename="pascal"):
    class_name: LabelName
    precision: Number = None
    recall: Number = None
    f1_score: Number = None
    aiou: Number = key(name="AIOU", default=None)


class _Scores(Struct, rename="pascal"):
    roc_auc: Number = key(name="ROCAUC", default=None)
    average_precision: Number = None
    precision: Number = None
    recall: Number = None
    f1_score: Number = None
    pixel_anomaly_class_metrics: list[_PixelScores] | None = None


class _Aggregates(Struct, rename="pascal"):
    metrics: _Scores | None = None


class _Details(Struct, rename="pascal"):
    model_arn: str | None = None
    evaluation_end_timestamp: str | float | None = None
    number_of_training_images: Count = None
    number_of_testing_images: Count = None


class _ResultFile(Struct, rename="pascal"):
    evaluation_details: _Details | None = None
    aggregated_evaluation_results: _Aggregates | None = None


_DECODER = Decoder(_ResultFile)


def parse_result(uri: str, data: bytes) -> LookoutResult:
    """What a result file says; a number it leaves out, or gives as null or NaN, is absent.

    Raises:
        ParseError: It is not JSON, a key holds something else than its format says, or it is
            another file.
    """
    file = decode_summary(_DECODER, uri, data, "a Lookout for Vision evaluation result")
    details = file.evaluation_details or _Details()
    aggregates = file.aggregated_evaluation_results or _Aggregates()
    scores = aggregates.metrics or _Scores()
    kinds = scores.pixel_anomaly_class_metrics or []
    end_ms = parse_timestamp(details.evaluation_end_timestamp)
    return LookoutResult(
        model_arn=details.model_arn or "",
        pixel_labels=tuple(
            dict.fromkeys(kind.class_name for kind in kinds if not is_background(kind.class_name))
        ),
        has_pixel_numbers=scores.pixel_anomaly_class_metrics is not None,
        reported=_report(scores, kinds, details),
        evaluation_end_ms=end_ms,
        warnings=(
            *warn_repeated(uri, [kind.class_name for kind in kinds]),
            *warn_time(uri, details.evaluation_end_timestamp, end_ms),
        ),
    )


def _report(scores: _Scores, kinds: Iterable[_PixelScores], details: _Details) -> Reported:
    per_label: dict[str, Mapping[str, float]] = {}
    for kind in kinds:
        numbers = keep_numbers(
            precision=kind.precision, recall=kind.recall, f1=kind.f1_score, aiou=kind.aiou
        )
        per_label.setdefault(kind.class_name, numbers)
    return Reported(
        aggregate=keep_numbers(
            precision=scores.precision,
            recall=scores.recall,
            f1=scores.f1_score,
            roc_auc=scores.roc_auc,
            average_precision=scores.average_precision,
        ),
        per_label=per_label,
        test_images=keep_count(details.number_of_testing_images),
        train_images=keep_count(details.number_of_training_images),
    )
