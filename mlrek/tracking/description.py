"""What is logged for one version, as plain data: nothing here talks to MLflow."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mlrek import __version__
from mlrek.evaluation import Evaluation, Reported
from mlrek.label_keys import metric_key_labels
from mlrek.metrics import LabelScores, Metrics, Number, ThresholdCurves
from mlrek.metrics.curve_scores import score_all_labels
from mlrek.printable import escape_unprintable
from mlrek.reported import DEFAULT_THRESHOLD
from mlrek.tracking.run_note import describe_note

LOG_SCHEMA = 3
"""Raised whenever a run of the same evaluation would hold something else than before."""

AUTO_IMAGES = "auto"  # from where the evaluation says that they are, if that may be read
NO_IMAGES = "none"

HEAT_MAP = "confusion_matrix.png"
LABEL_IOU = "label_iou.png"
PICTURE_KEY = "charts/confusion_matrix"
GRID_KEY = "charts/confusion_matrix_at_threshold"
STEPS_TAG = "mlrek.picture_steps"
"""Names the thresholds, in percent, of which a run has a picture under `GRID_KEY`."""

MAX_METRIC_KEYS = 400
MAX_DETAILED_LABELS = 50
MAX_TAG = 5000
TEST_SET_ROLES = frozenset(("manifest", "ground_truth"))
EVALUATOR_NAMES = {
    "accuracy_score": "accuracy",
    "precision_score": "precision_weighted",
    "recall_score": "recall_weighted",
    "f1_score": "f1_weighted",
}
"""MLflow's own evaluator's names -> ours, where both mean the same (weighted averages)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One logged number."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInput:
    """The test set as MLflow's dataset input. `digest` is at most 36 characters."""

    uri: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPicture:
    """One step of a picture in the grid of the charts page: the whole, and a small WebP of it."""

    key: str
    step: int
    png: bytes
    webp: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDescription:
    """Everything a run of one version holds. `files` are artifact path -> content.

    `picture` is shown on the charts page as `picture_key`; `grid` are further ones beside it.
    """

    run_name: str
    start_ms: int | None
    end_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[MetricPoint, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    table: Mapping[str, Sequence[str | float | None]] | None = None
    picture: NDArray[np.uint8] | None = None
    picture_key: str = PICTURE_KEY
    grid: tuple[GridPicture, ...] = ()
    dataset: DatasetInput | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every option that changes a number or a picture.

    `threshold` is where published numbers are read, as far as they are published over thresholds;
    `top_labels` how many labels, the most confused ones, the confusion matrix is drawn with;
    `images` where the report's small pictures come from: `auto`, `none`, or a folder.
    """

    prediction_rule: str = "top1"
    skip_bad_lines: bool = False
    threshold: float = DEFAULT_THRESHOLD
    top_labels: int = 0
    images: str = AUTO_IMAGES

    def describe(self) -> dict[str, str | bool | float]:
        """The options as stable JSON values; later ones only where they were given.

        So a run that was logged before there was an option still counts as made with its default.
        """
        described: dict[str, str | bool | float] = {
            "prediction_rule": self.prediction_rule,
            "skip_bad_lines": self.skip_bad_lines,
        }
        if self.threshold != DEFAULT_THRESHOLD:
            described["threshold"] = self.threshold
        if self.top_labels:
            described["top_labels"] = self.top_labels
        if self.images != AUTO_IMAGES:
            described["images"] = self.images
        return described


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What tells one run of a version from another."""

    key: str
    state: str
    test_set_digest: str
    logged_at: str


def compute_evaluation_key(evaluation: Evaluation, options: Options) -> str:
    """Content identity of a run: version, evaluation content, log schema, options."""
    version = evaluation.version
    identity = {
        "schema": LOG_SCHEMA,
        "version_arn": version.arn,
        "files": sorted((file.role, file.sha256) for file in evaluation.files),
        "training": [version.training_start_ms, version.training_end_ms, version.billable_minutes],
        "reported": sorted(evaluation.reported.aggregate.items()),
        "options": options.describe(),
    }
    return sha256(_dump(identity).encode()).hexdigest()


def describe_state(state: Mapping[str, str], options: Options) -> str:
    """The tag that tells `unchanged` without a download; longer than a tag may be: its digest."""
    text = _dump(
        {"schema": LOG_SCHEMA, "options": options.describe(), "files": dict(sorted(state.items()))}
    )
    return text if len(text) <= MAX_TAG else "sha256:" + sha256(text.encode()).hexdigest()


def describe_tags(evaluation: Evaluation, metrics: Metrics, identity: Identity) -> dict[str, str]:
    """The tags of a run, without `mlrek.complete`, which the writer sets last."""
    version = evaluation.version
    warnings = describe_warnings(evaluation, metrics)
    tags = {
        "project_arn": version.project.arn,
        "version_arn": version.arn,
        "project_name": version.project.name,
        "version_name": version.name,
        "provider": version.project.provider.value,
        "task": metrics.task.value,
        "version_status": version.status,
        "source_version_arn": version.copied_from,
        "test_set_digest": identity.test_set_digest,
        "mlrek.evaluation_key": identity.key,
        "mlrek.source_state": identity.state,
        "mlrek.version": __version__,
        "mlrek.logged_at": identity.logged_at,
        "mlrek.warnings": _cut_lines(warnings),
        "mlflow.note.content": describe_note(evaluation, metrics, warnings),
    }
    return {name: value for name, value in tags.items() if value}


def describe_params(evaluation: Evaluation, metrics: Metrics) -> dict[str, str]:
    """Few and short: the UI prints all of them above every picture."""
    params = {
        "labels": len(evaluation.labels) or None,
        "test_images": metrics.test_images,
        "train_images": evaluation.reported.train_images,
        "prediction_rule": metrics.prediction_rule or None,
        "records": metrics.records.value if metrics.records else None,
    }
    return {name: str(value) for name, value in params.items() if value is not None}


def describe_metrics(evaluation: Evaluation, metrics: Metrics) -> tuple[MetricPoint, ...]:
    """Every number of a run under its contract key, at most `MAX_METRIC_KEYS` keys."""
    points = [
        *_numbers("aggregate", metrics.aggregate),
        *_numbers("at_threshold", metrics.at_threshold),
        *_intervals(metrics.aggregate),
        *_numbers("base_model", metrics.baseline),
        *(MetricPoint(key=f"errors/{kind}", value=n) for kind, n in metrics.errors.items()),
        *_reported(evaluation),
        *_evaluator_names(metrics),
    ]
    points += _reported_curve_points(evaluation)
    if metrics.curves is not None:
        points += _curve_points(metrics.curves)
    if metrics.per_label is not None:
        room = MAX_METRIC_KEYS - len({point.key for point in points})
        points += _label_points(metrics.labels, metrics.per_label, room)
    return tuple(points)


def describe_warnings(evaluation: Evaluation, metrics: Metrics) -> tuple[str, ...]:
    """Everything a reader must know: of the reading, the computing, and what is undefined.

    One line each, whatever stands in the names of files and labels.
    """
    warnings = (
        *evaluation.warnings,
        *metrics.warnings,
        *_left_out("aggregate", metrics.aggregate),
        *_left_out("at_threshold", metrics.at_threshold),
        *_no_interval(metrics),
    )
    return tuple(dict.fromkeys(map(escape_unprintable, warnings)))


def describe_dataset(evaluation: Evaluation, digest: str) -> DatasetInput | None:
    """The test set as dataset input; equal digests mean equal test sets."""
    manifest = next((file for file in evaluation.files if file.role in TEST_SET_ROLES), None)
    if manifest is None:
        return None
    name = manifest.uri.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return DatasetInput(uri=manifest.uri, name=name[:500], digest=digest)


def _numbers(group: str, numbers: Mapping[str, Number]) -> Iterator[MetricPoint]:
    for name, number in numbers.items():
        if number.is_defined:
            yield MetricPoint(key=f"{group}/{name}", value=number.value)


def _intervals(numbers: Mapping[str, Number]) -> Iterator[MetricPoint]:
    for name, number in numbers.items():
        if number.is_defined and not np.isnan([number.low, number.high]).any():
            yield MetricPoint(key=f"interval/{name}_low", value=number.low)
            yield MetricPoint(key=f"interval/{name}_high", value=number.high)


def _left_out(group: str, numbers: Mapping[str, Number]) -> Iterator[str]:
    """Names the undefined numbers of a group, by reason."""
    undefined = {name: number.reason for name, number in numbers.items() if not number.is_defined}
    for reason, names in _by_reason(undefined):
        shown = ["*"] if len(names) == len(numbers) > 1 else names
        what = ", ".join(f"{group}/{name}" for name in shown)
        yield f"not logged: {what}: {reason or 'undefined'}"


def _no_interval(metrics: Metrics) -> Iterator[str]:
    """Names the defined numbers that have no interval, by reason."""
    lacking = {
        name: number.reason.removeprefix("no interval: ")
        for name, number in metrics.aggregate.items()
        if number.is_defined and number.reason and np.isnan([number.low, number.high]).any()
    }
    for reason, names in _by_reason(lacking):
        yield f"no interval for {', '.join(names)}: {reason}"


def _by_reason(reasons: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    pairs = sorted((reason, name) for name, reason in reasons.items())
    for reason, group in groupby(pairs, key=lambda pair: pair[0]):
        yield reason, [name for _, name in group]


def _reported(evaluation: Evaluation) -> Iterator[MetricPoint]:
    for prefix, reported in _reported_models(evaluation):
        for name, value in reported.aggregate.items():
            yield MetricPoint(key=f"reported/{prefix}{name}", value=value)
    if evaluation.version.billable_minutes is not None:
        yield MetricPoint(
            key="training/billable_minutes", value=evaluation.version.billable_minutes
        )


def _evaluator_names(metrics: Metrics) -> Iterator[MetricPoint]:
    if "accuracy" not in metrics.aggregate:
        return
    for name, ours in EVALUATOR_NAMES.items():
        if metrics.aggregate[ours].is_defined:
            yield MetricPoint(key=name, value=metrics.aggregate[ours].value)
    if metrics.per_label is not None:
        yield MetricPoint(key="example_count", value=float(metrics.per_label.support.sum()))


def _curve_points(curves: ThresholdCurves) -> Iterator[MetricPoint]:
    for name, values in score_all_labels(curves)._asdict().items():
        for step in np.flatnonzero(~np.isnan(values)):
            yield MetricPoint(key=f"curve/{name}", value=float(values[step]), step=int(step))


def _reported_curve_points(evaluation: Evaluation) -> Iterator[MetricPoint]:
    """The provider's own curve of all labels; of thresholds with one whole percent the first."""
    for prefix, reported in _reported_models(evaluation):
        curve = reported.curves.get("")
        if curve is None:
            continue
        steps, first = np.unique(np.rint(curve.thresholds * 100).astype(int), return_index=True)
        for name in ("precision", "recall", "f1"):
            values = getattr(curve, name)[first]
            for i in np.flatnonzero(~np.isnan(values)):
                key = f"reported_curve/{prefix}{name}"
                yield MetricPoint(key=key, value=float(values[i]), step=int(steps[i]))


def _reported_models(evaluation: Evaluation) -> Iterator[tuple[str, Reported]]:
    """What is reported of the version, and under a prefix of the model it was adapted from."""
    yield "", evaluation.reported
    if evaluation.reported.baseline is not None:
        yield "base_", evaluation.reported.baseline


def _label_points(labels: Sequence[str], scores: LabelScores, room: int) -> Iterator[MetricPoint]:
    keys = metric_key_labels(labels)
    detailed = len(labels) <= MAX_DETAILED_LABELS
    columns = {"label_f1": scores.f1}
    if detailed:
        columns |= {"label_precision": scores.precision, "label_recall": scores.recall}
        columns |= {"label_ap": scores.ap}
    most_frequent = np.sort(np.argsort(-scores.support, kind="stable")[: room // len(columns)])
    for group, values in columns.items():
        for i in most_frequent:
            if not np.isnan(values[i]):
                yield MetricPoint(key=f"{group}/{keys[i]}", value=float(values[i]))


def _cut_lines(lines: Sequence[str]) -> str:
    """Lines joined, cut between lines at what MLflow keeps of a tag."""
    kept: list[str] = []
    for i, line in enumerate(lines):
        if sum(map(len, kept)) + len(kept) + len(line) > MAX_TAG:
            kept.append(f"… and {len(lines) - i} more: see evaluation.json"[:MAX_TAG])
            break
        kept.append(line)
    return "\n".join(kept)


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
