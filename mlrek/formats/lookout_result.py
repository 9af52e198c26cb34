"""Lookout for Vision's result file (`EvaluationResult-….json`): bytes -> reported numbers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Reported
from mlrek.formats.instead import explain
from mlrek.formats.json_text import LabelName, NotANumber, decode_json, show
from mlrek.formats.lines import BYTE_ORDER_MARK
from mlrek.formats.lookout_line import is_background
from mlrek.formats.timestamps import parse_timestamp

_Number: TypeAlias = float | NotANumber
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | NotANumber


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultInput:
    """A result file as it was read."""

    uri: str
    data: bytes


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
    precision: _Number = None
    recall: _Number = None
    f1_score: _Number = None
    aiou: _Number = key(name="AIOU", default=None)


class _Scores(Struct, rename="pascal"):
    roc_auc: _Number = key(name="ROCAUC", default=None)
    average_precision: _Number = None
    precision: _Number = None
    recall: _Number = None
    f1_score: _Number = None
    pixel_anomaly_class_metrics: list[_PixelScores] | None = None


class _Aggregates(Struct, rename="pascal"):
    metrics: _Scores | None = None


class _Details(Struct, rename="pascal"):
    model_arn: str | None = None
    evaluation_end_timestamp: str | float | None = None
    number_of_training_images: _Count = None
    number_of_testing_images: _Count = None


class _ResultFile(Struct, rename="pascal"):
    evaluation_details: _Details | None = None
    aggregated_evaluation_results: _Aggregates | None = None


_DECODER = Decoder(_ResultFile)


def parse_result(result: ResultInput) -> LookoutResult:
    """What a result file says; a number it leaves out, or gives as null or NaN, is absent.

    Raises:
        ParseError: It is not JSON, a key holds something else than its format says, or it is
            another file.
    """
    file = _decode(result)
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
        warnings=(*_check_kinds(result.uri, kinds), *_check_time(result.uri, details, end_ms)),
    )


def name_scores(
    *, precision: _Number, recall: _Number, f1: _Number, **more: _Number
) -> dict[str, float]:
    """The numbers that exist, under the names of `Reported`."""
    named = {"precision": precision, "recall": recall, "f1": f1, **more}
    return {
        name: value for name, value in named.items() if isinstance(value, float) and isfinite(value)
    }


def _decode(result: ResultInput) -> _ResultFile:
    try:
        file = decode_json(_DECODER, result.data.removeprefix(BYTE_ORDER_MARK))
    except ValueError as exc:
        reason = explain(result.data, exc, what="a Lookout for Vision evaluation result")
        raise ParseError(result.uri, 0, reason) from exc
    if file == _ResultFile():
        reason = "is not a Lookout for Vision evaluation result: it has none of that file's keys"
        raise ParseError(result.uri, 0, reason)
    return file


def _report(scores: _Scores, kinds: Iterable[_PixelScores], details: _Details) -> Reported:
    per_label: dict[str, Mapping[str, float]] = {}
    for kind in kinds:
        numbers = name_scores(
            precision=kind.precision, recall=kind.recall, f1=kind.f1_score, aiou=kind.aiou
        )
        per_label.setdefault(kind.class_name, numbers)
    return Reported(
        aggregate=name_scores(
            precision=scores.precision,
            recall=scores.recall,
            f1=scores.f1_score,
            roc_auc=scores.roc_auc,
            average_precision=scores.average_precision,
        ),
        per_label=per_label,
        test_images=_count(details.number_of_testing_images),
        train_images=_count(details.number_of_training_images),
    )


def _count(value: _Count) -> int | None:
    return value if isinstance(value, int) else None


def _check_kinds(uri: str, kinds: list[_PixelScores]) -> Iterator[str]:
    if repeated := len(kinds) - len({kind.class_name for kind in kinds}):
        several = f"{repeated} of {len(kinds)} results are of a label that has some already"
        yield f"{uri}: {several}, and were left out"


def _check_time(uri: str, details: _Details, end_ms: int | None) -> Iterator[str]:
    text = details.evaluation_end_timestamp
    if text and end_ms is None:
        yield f"{uri}: the end of the evaluation is not a time and was left out: {show(text)}"
