"""What is logged for one version, as plain data: nothing here talks to MLflow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from mlrek import __version__
from mlrek.comparison.doubts import list_doubts
from mlrek.evaluation import Doubt, Evaluation
from mlrek.metrics import Metrics
from mlrek.reported import DEFAULT_THRESHOLD
from mlrek.tables.doubts import describe_remarks, describe_warnings, order_doubts
from mlrek.tracking.doubts import DOUBTS_TAG, write_doubts_tag
from mlrek.tracking.knowledge import Knowledge
from mlrek.tracking.metric_points import MetricPoint
from mlrek.tracking.run_note import describe_note
from mlrek.tracking.runs import LOG_SCHEMA_TAG, MAX_TAG

LOG_SCHEMA = 4
"""Raised whenever a run of the same evaluation would hold something else than before."""

LOG_CHANGES = (
    "each image counts once, what weakens a number is kept as a doubt, intervals are made by "
    "methods that hold, and headline numbers and cross-fitted ones are logged"
)
"""What a run of this schema holds that one of the schema before did not."""

OUTDATED_REASON = "an earlier mlrek logged it: what a run holds has changed since"

AUTO_IMAGES = "auto"  # from where the evaluation says that they are, if that may be read
NO_IMAGES = "none"

HEAT_MAP = "confusion_matrix.png"
LABEL_IOU = "label_iou.png"
PICTURE_KEY = "charts/confusion_matrix"
GRID_KEY = "charts/confusion_matrix_at_threshold"
STEPS_TAG = "mlrek.picture_steps"
"""Names the thresholds, in percent, of which a run has a picture under `GRID_KEY`."""

TEST_SET_ROLES = frozenset(("manifest", "ground_truth"))


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
    `knows` is not logged: it is held against what the run before it knows.
    """

    run_name: str
    start_ms: int | None
    end_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[MetricPoint, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    picture: NDArray[np.uint8] | None = None
    picture_key: str = PICTURE_KEY
    grid: tuple[GridPicture, ...] = ()
    dataset: DatasetInput | None = None
    doubts: tuple[Doubt, ...] = ()
    knows: Knowledge = field(default_factory=Knowledge)


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
        "mlrek.warnings": _cut_lines(describe_warnings(evaluation, metrics)),
        "mlflow.note.content": describe_note(
            evaluation, metrics, describe_remarks(evaluation, metrics)
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


def describe_dataset(evaluation: Evaluation, digest: str) -> DatasetInput | None:
    """The test set as dataset input; equal digests mean equal test sets."""
    manifest = next((file for file in evaluation.files if file.role in TEST_SET_ROLES), None)
    if manifest is None:
        return None
    name = manifest.uri.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return DatasetInput(uri=manifest.uri, name=name[:500], digest=digest)


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
