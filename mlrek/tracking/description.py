"""What is logged for one version, as plain data: nothing here talks to MLflow."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlrek import __version__
from mlrek.errors import EvaluationError, TrackingError
from mlrek.evaluation import Doubt, DoubtKind, Evaluation, Provider, Reported
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import Metrics, ThresholdCurves
from mlrek.metrics.counts import score_all_labels
from mlrek.metrics.crossfit import LOGGED_NAMES, PREFIX
from mlrek.metrics.drawn_labels import count_undivided
from mlrek.metrics.numbers import NumberRow, list_headlines, list_numbers
from mlrek.metrics.reported import DEFAULT_THRESHOLD
from mlrek.metrics.slices import SliceReport, Slicing
from mlrek.metrics.test_set import count_images
from mlrek.render.doubts import list_version_remarks, list_warnings, order_doubts
from mlrek.render.slices import list_logged_numbers
from mlrek.text import metric_key_labels
from mlrek.tracking import (
    AUTO_IMAGES,
    DOUBTS_TAG,
    LOG_SCHEMA_TAG,
    MAX_TAG,
    LoggedRun,
    write_doubts_tag,
)
from mlrek.tracking.notes import render_note

if TYPE_CHECKING:
    from mlrek.tracking.store import Store


_SAID = re.compile(r"(\d+) of \d+ images (?:have no response|could not be answered)\b")
"""How runs of earlier versions tell of images without an answer: in their warnings."""
STORED_PATH = "evaluation.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What an evaluation's numbers rest on.

    `images` are distinct ones, `unanswered` those of them without a prediction; `files` are role
    and SHA-256 of what was read.
    """

    images: int = 0
    unanswered: int = 0
    files: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    @property
    def roles(self) -> frozenset[str]:
        """Which kinds of files were read."""
        return frozenset(role for role, _ in self.files)


MAX_METRIC_KEYS = 400
MAX_DETAILED_LABELS = 50
NOT_LOGGED = "extra/"
"""Begins what stands in `evaluation.json` alone."""
AGGREGATE = "aggregate"
LABEL_GROUPS = ("label_f1", "label_precision", "label_recall", "label_ap")
"""What is logged of single labels; of many labels the first alone."""
EVALUATOR_NAMES = {
    "accuracy_score": "accuracy",
    "precision_score": "precision_weighted",
    "recall_score": "recall_weighted",
    "f1_score": "f1_weighted",
}
"""MLflow's own evaluator's names -> ours, where both mean the same (weighted averages)."""


class MetricPoint(NamedTuple):
    """One logged number; a run has hundreds, which travel from one process to another."""

    key: str
    value: float
    step: int = 0


LOG_SCHEMA = 4
"""Raised whenever a run of the same evaluation would hold something else than before."""

LOG_CHANGES = (
    "each image counts once, what weakens a number is kept as a doubt, intervals are made by "
    "methods that hold, and headline numbers and cross-fitted ones are logged"
)
"""What a run of this schema holds that one of the schema before did not."""

OUTDATED_REASON = "an earlier mlrek logged it: what a run holds has changed since"


HEAT_MAP = "confusion_matrix.png"
LABEL_IOU = "label_iou.png"
PICTURE_KEY = "charts/confusion_matrix"
GRID_KEY = "charts/confusion_matrix_at_threshold"

TEST_SET_ROLES = frozenset(("manifest", "ground_truth"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInput:
    """The test set as MLflow's dataset input. `digest` is at most 36 characters."""

    uri: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPicture:
    """A picture of the charts page, or a step of it: the whole, and the small WebP shown there."""

    key: str
    step: int
    png: bytes
    webp: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDescription:
    """Everything a run of one version holds. `files` are artifact path -> content.

    `grid` are the pictures of the charts page, the main one first.
    `knows` is not logged: it is held against what the run before it knows.
    """

    run_name: str
    start_ms: int | None
    end_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[MetricPoint, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    grid: tuple[GridPicture, ...] = ()
    dataset: DatasetInput | None = None
    doubts: tuple[Doubt, ...] = ()
    knows: Knowledge = field(default_factory=Knowledge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every option that changes a number or a picture.

    `threshold` is where published numbers are read, as far as they are published over thresholds;
    `drawn_labels` are those that the matrices of all versions of the project are drawn with, and
    `top_labels` how many are chosen where none are; `images` is where the report's small pictures
    come from: `auto`, `none`, or a folder. `slicing` are columns that were asked for.
    """

    prediction_rule: str = "top1"
    skip_bad_lines: bool = False
    threshold: float = DEFAULT_THRESHOLD
    top_labels: int = 0
    drawn_labels: tuple[str, ...] = ()
    images: str = AUTO_IMAGES
    slicing: Slicing = field(default_factory=Slicing)

    def describe(self) -> dict[str, str | bool | float]:
        """The options as stable JSON values; later ones only where they were given.

        So a run that was logged before there was an option still counts as made with its default.
        What is drawn is left out: it matters to versions with many labels alone.
        """
        described: dict[str, str | bool | float] = {
            "prediction_rule": self.prediction_rule,
            "skip_bad_lines": self.skip_bad_lines,
        }
        if self.threshold != DEFAULT_THRESHOLD:
            described["threshold"] = self.threshold
        if self.images != AUTO_IMAGES:
            described["images"] = self.images
        return {**described, **self.slicing.describe()}


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
        **describe_drawn(len(evaluation.labels), options.drawn_labels),
    }
    return sha256(_dump(identity).encode()).hexdigest()


def describe_drawn(n_labels: int, drawn_labels: Sequence[str]) -> dict[str, list[str]]:
    """What the identity of a run has of the labels that it is drawn with; nothing if it has few."""
    has_many = bool(drawn_labels) and n_labels > count_undivided(drawn_labels)
    return {"drawn_labels": list(drawn_labels)} if has_many else {}


def mark_state(state: str, n_labels: int, drawn_labels: Sequence[str]) -> str:
    """The state of a version's files, and of the labels that it is drawn with."""
    drawn = describe_drawn(n_labels, drawn_labels)
    return f"{state} drawn:{sha256(_dump(drawn).encode()).hexdigest()[:16]}" if drawn else state


def describe_state(state: Mapping[str, str], options: Options) -> str:
    """The tag that tells `unchanged` without a download; longer than a tag may be: its digest."""
    text = _dump(
        {"schema": LOG_SCHEMA, "options": options.describe(), "files": dict(sorted(state.items()))}
    )
    return text if len(text) <= MAX_TAG else "sha256:" + sha256(text.encode()).hexdigest()


def describe_tags(
    evaluation: Evaluation,
    metrics: Metrics,
    identity: Identity,
    slices: SliceReport | None = None,
) -> dict[str, str]:
    """The tags of a run, without `mlrek.complete`, which the writer sets last."""
    version = evaluation.version
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
        LOG_SCHEMA_TAG: str(LOG_SCHEMA),
        "mlrek.logged_at": identity.logged_at,
        DOUBTS_TAG: write_doubts_tag(order_doubts(list_doubts(evaluation, metrics))),
        "mlrek.warnings": _cut_lines(list_warnings(evaluation, metrics)),
        "mlflow.note.content": render_note(
            evaluation, metrics, list_version_remarks(evaluation, metrics), slices
        ),
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


def describe_dataset(
    evaluation: Evaluation, digest: str, images: int | None = None
) -> DatasetInput | None:
    """The test set as dataset input: equal sets have one name and digest, whatever their files.

    `images` are the distinct ones of the test set.
    """
    is_custom = evaluation.version.project.provider is Provider.CUSTOM
    roles = (*TEST_SET_ROLES, *(("predictions",) if is_custom else ()))  # they may hold the truth
    manifest = next((file for file in evaluation.files if file.role in roles), None)
    if manifest is None:
        return None
    counted = "" if images is None else f", {images:,} image{'' if images == 1 else 's'}"
    file = manifest.uri.replace("\\", "/").rstrip("/").rpartition("/")[2][:500]
    name = f"test set {digest[:8]}{counted}" if digest else file
    return DatasetInput(uri=manifest.uri, name=name, digest=digest)


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


def compute_knowledge(evaluation: Evaluation) -> Knowledge:
    """What the numbers of an evaluation rest on."""
    told = [d.count or 0 for d in evaluation.doubts if d.kind is DoubtKind.UNANSWERED]
    said = sum(int(n) for line in evaluation.warnings for n in _SAID.findall(line))
    unread = int((~evaluation.masks.readable).sum()) if evaluation.masks else 0
    return Knowledge(
        images=count_images(evaluation.images),
        unanswered=max(unread, said, *told),
        files=frozenset((file.role, file.sha256) for file in evaluation.files),
    )


def say_loss(old: Knowledge, new: Knowledge) -> str:
    """What `new` lacks of what `old` knows, in words; '' where it knows as much.

    Files that are read in another way than before, but are the same, are no loss; nor is one where
    `old` knows no images.
    """
    if not old.images or old.files <= new.files:
        return ""
    return "; ".join(_list_losses(old, new))


def _list_losses(old: Knowledge, new: Knowledge) -> Iterator[str]:
    if not new.images:
        yield f"no test image can be read any more, and the run was computed from {old.images:,}"
        return
    if new.images < old.images:
        yield f"{new.images:,} images are there now, and the run was computed from {old.images:,}"
    answered, before = new.images - new.unanswered, old.images - old.unanswered
    if answered < before and new.images >= old.images:
        yield f"{answered:,} images have an answer now, and {before:,} had one in the run"
    if gone := sorted(old.roles - new.roles):
        yield f"what the run was read from is gone: {', '.join(gone)}"


def find_loss(store: "Store", run: LoggedRun, new: Knowledge) -> str:
    """What a new evaluation lacks of what a complete run of its version knows, '' for nothing.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    return say_loss(_read_knowledge(store, run), new) if run.has_images else ""


def say_kept(loss: str, command: str = "mlrek sync") -> str:
    """Why a run was not replaced, and what would replace it all the same."""
    return f"the run stays as it was logged before: {loss}; `{command} --force` replaces it"


def read_earlier(store: "Store | None", run: LoggedRun | None) -> bytes:
    """The `evaluation.parquet` of the run that counts, b'' where none is needed or to be had."""
    if store is None or run is None or not run.has_images:
        return b""
    try:
        return store.read_artifact(run.run_id, STORED_PATH)
    except TrackingError:
        return b""


def _read_knowledge(store: "Store", run: LoggedRun) -> Knowledge:
    """What a run knows by its own file; by its params where that cannot be read."""
    from mlrek.formats.stored import load_stored

    try:
        return compute_knowledge(load_stored(store.read_artifact(run.run_id, STORED_PATH)))
    except (TrackingError, EvaluationError):
        images = run.params.get("test_images", "")
        return Knowledge(images=int(images) if images.isascii() and images.isdigit() else 1)


def describe_metrics(
    evaluation: Evaluation, metrics: Metrics, slices: SliceReport | None = None
) -> tuple[MetricPoint, ...]:
    """Every number of a run under its contract key, at most `MAX_METRIC_KEYS` keys."""
    rows = tuple(list_numbers(evaluation, metrics))
    points = [*_scores(metrics), *_numbers(rows), *_intervals(rows), *_evaluator_names(metrics)]
    points += _reported_curve_points(evaluation)
    if metrics.curves is not None:
        points += _curve_points(metrics.curves)
    if slices is not None:
        found = list_logged_numbers(slices, evaluation)
        points += [MetricPoint(key=key, value=value) for key, value in found]
    if metrics.per_label is not None:
        room = MAX_METRIC_KEYS - len({point.key for point in points})
        points += _label_points(metrics.labels, rows, room)
    return tuple(points)


def _scores(metrics: Metrics) -> Iterator[MetricPoint]:
    """The headline numbers of the task again, under keys of which charts show the first letters."""
    for name, number in list_headlines(metrics).items():
        yield MetricPoint(key=f"score/{name}", value=number.value)


def _numbers(rows: Sequence[NumberRow]) -> Iterator[MetricPoint]:
    for row in rows:
        is_logged = not row.label and not row.name.startswith(NOT_LOGGED)
        if row.name.startswith(PREFIX):
            is_logged = not row.label and row.name.removeprefix(PREFIX) in LOGGED_NAMES
        if is_logged and row.number.is_defined:
            yield MetricPoint(key=row.name, value=row.number.value)


def _intervals(rows: Sequence[NumberRow]) -> Iterator[MetricPoint]:
    for row in rows:
        group, _, name = row.name.partition("/")
        number = row.number
        has_interval = not np.isnan([number.low, number.high]).any()
        if group == AGGREGATE and number.is_defined and has_interval:
            yield MetricPoint(key=f"interval/{name}_low", value=number.low)
            yield MetricPoint(key=f"interval/{name}_high", value=number.high)


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


def _label_points(
    labels: Sequence[str], rows: Sequence[NumberRow], room: int
) -> Iterator[MetricPoint]:
    """The numbers of single labels, of the most frequent ones where not all have room."""
    keys = metric_key_labels(labels)
    groups = LABEL_GROUPS if len(labels) <= MAX_DETAILED_LABELS else LABEL_GROUPS[:1]
    by_group = {group: [row.number.value for row in rows if row.name == group] for group in groups}
    support = np.array([row.number.value for row in rows if row.name == "label_support"])
    most_frequent = np.sort(np.argsort(-support, kind="stable")[: room // len(groups)])
    for group, values in by_group.items():
        for i in most_frequent:
            if not np.isnan(values[i]):
                yield MetricPoint(key=f"{group}/{keys[i]}", value=values[i])
