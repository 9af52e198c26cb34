"""What a page says without its script: headline, warnings, definitions, and where all is from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import Any, Final

from mlrek import __version__
from mlrek.comparison.doubts import list_doubts
from mlrek.evaluation import Evaluation, Task
from mlrek.formatting import UNDEFINED, fmt, fmt_date, span
from mlrek.metrics import Metrics, Number
from mlrek.metrics.definitions import describe_metrics
from mlrek.metrics.headlines import list_headlines, name_metric
from mlrek.metrics.numbers import NUMBER_GROUPS, list_numbers
from mlrek.printable import escape_unencodable
from mlrek.report.doubts import show_doubts

MAX_REPORTED: Final = 4
_TASKS: Final[Mapping[Task, str]] = {
    Task.CLASSIFICATION: "one label an image",
    Task.MULTILABEL: "several labels an image",
    Task.DETECTION: "object detection",
    Task.SEGMENTATION: "segmentation",
}
_PROVIDERS: Final = {
    "rekognition": "Rekognition Custom Labels",
    "lookoutvision": "Lookout for Vision",
    "automl-vision": "AutoML Vision",
    "vertex-ai": "Vertex AI",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownNumber:
    """A number as a page shows it; `low`, `high` and `at` are percent of a scale from 0 to 1."""

    name: str
    value: str
    span: str = ""
    at: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def describe_facts(
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    remarks: Sequence[str],
    digest: str,
    logged_at: str,
) -> dict[str, Any]:
    """All that the template fills in, as plain text."""
    version = evaluation.version
    return {
        "title": _clean(f"{version.name} · {version.project.name}"),
        "version": _clean(version.name),
        "project": _clean(version.project.name),
        "provider": _PROVIDERS.get(version.project.provider.value, version.project.provider.value),
        "task": _TASKS[metrics.task],
        "trained": fmt_date(version.training_end_ms or version.training_start_ms),
        "labels": len(metrics.labels),
        "test_images": metrics.test_images,
        "train_images": evaluation.reported.train_images,
        "digest": digest,
        "has_images": evaluation.has_images,
        "headline": list(_describe_headline(evaluation, metrics)),
        "numbers": [_show(*pair) for pair in _all_numbers(evaluation, metrics)],
        "said": [*_describe_said(metrics)],
        "said_labels": _describe_said_labels(metrics),
        "errors": dict(metrics.errors),
        "doubts": show_doubts(list_doubts(evaluation, metrics)),
        "warnings": [*map(_clean, remarks)],
        "definitions": describe_metrics(metrics.task, _clean(evaluation.pos_label)),
        "rule": metrics.prediction_rule,
        "records": metrics.records.value if metrics.records else "",
        "provenance": [*_describe_provenance(evaluation, digest, logged_at)],
        "files": [
            (file.role, _clean(file.uri), f"{file.size:,} bytes", file.sha256)
            for file in evaluation.files
        ],
        "has_curves": bool(evaluation.reported.curves)
        or (metrics.curves is not None and bool(metrics.labels)),
        "has_masks": evaluation.masks is not None,
        "has_sketches": evaluation.masks is not None and bool(evaluation.masks.sketches),
    }


def _describe_headline(evaluation: Evaluation, metrics: Metrics) -> Iterator[ShownNumber]:
    """The few numbers that say most; without images those of the provider."""
    headlines = list_headlines(metrics)
    for name, number in headlines.items():
        yield _show(name_metric(name), number, base=metrics.baseline.get(name))
    if not headlines:
        for name, value in list(evaluation.reported.aggregate.items())[:MAX_REPORTED]:
            if name != "threshold":
                yield _show(name_metric(name), Number(value=value), note="the service's own number")


def _all_numbers(evaluation: Evaluation, metrics: Metrics) -> Iterator[tuple[str, Number]]:
    """What is computed of all labels together; the errors of boxes stand in a list of their own."""
    for row in list_numbers(evaluation, metrics):
        group, _, _ = row.name.partition("/")
        if group in NUMBER_GROUPS and group != "errors" and not row.label:
            yield name_metric(row.name), row.number


def _show(name: str, number: Number, *, base: Number | None = None, note: str = "") -> ShownNumber:
    if base is not None and base.is_defined:
        note = f"base model {fmt(base.value)}"
    if not number.is_defined:
        return ShownNumber(name=name, value=UNDEFINED, note=number.reason)
    has_interval = not (isnan(number.low) or isnan(number.high))
    is_share = 0 <= number.value <= 1
    return ShownNumber(
        name=name,
        value=fmt(number.value),
        span=span(number.low, number.high, undefined=""),
        at=_percent(number.value) if is_share else None,
        low=_percent(number.low) if has_interval and is_share else None,
        high=_percent(number.high) if has_interval and is_share else None,
        note=note,
    )


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 2)


def _describe_said(metrics: Metrics) -> Iterator[dict[str, str]]:
    """What the provider says of all labels together, beside what was computed by the same rule."""
    verdicts = {True: "agrees", False: "differs", None: ""}
    whole = [n for n in metrics.reconciliation if "/" not in n.name and n.name != "train_images"]
    seen = {(number.name, number.agrees): number for number in whole}  # of equal ones the last
    for number in whole:
        if seen[number.name, number.agrees] is number:
            verdict = verdicts[number.agrees]
            yield {
                "name": name_metric(number.name),
                "reported": _number(number.reported),
                "computed": _number(number.computed),
                "verdict": verdict,
                "rule": _clean(number.rule),
            }


def _describe_said_labels(metrics: Metrics) -> dict[str, int]:
    """How many of the numbers of single labels and cells agree."""
    parts = [number for number in metrics.reconciliation if "/" in number.name]
    return {
        "all": len(parts),
        "compared": sum(number.agrees is not None for number in parts),
        "agree": sum(number.agrees is True for number in parts),
    }


def _describe_provenance(
    evaluation: Evaluation, digest: str, logged_at: str
) -> Iterator[tuple[str, str]]:
    version = evaluation.version
    rows = {
        "version": version.arn,
        "project": version.project.arn,
        "status": version.status,
        "training began": _time(version.training_start_ms),
        "training ended": _time(version.training_end_ms),
        "copied from": version.copied_from,
        "test set": digest,
        "logged": logged_at,
        "by": f"mlrek {__version__}",
    }
    yield from ((name, _clean(text)) for name, text in rows.items() if text)


def _number(value: float) -> str:
    return fmt(value, 0 if value > 1 and float(value).is_integer() else 4)


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(" ", "seconds")


def _clean(text: str) -> str:
    return escape_unencodable(text)
