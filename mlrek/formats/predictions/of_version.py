"""A known version on your own test set, by answers of any form."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mlrek.evaluation import (
    Evaluation,
    Provider,
    Reported,
    SourceFile,
    Task,
    order_labels,
)
from mlrek.formats.columns import make_label_sets, place_labels
from mlrek.formats.predictions import Answers, JoinOptions
from mlrek.formats.predictions.join import choose_own_task, join_answers
from mlrek.formats.truth import GroundTruth
from mlrek.metrics.doubts import doubt_shared

_PREDICTIONS: Final = "predictions"
VERSION_PREDICTIONS: Final = "version_predictions"
"""Of a run on your own test set: what its version's own predictions were then, by their digests.

The versions of a service stay the models that they are. One of a model from anywhere is what was
synced last under its name.
"""


def join_known_version(
    version: Evaluation,
    truth: GroundTruth,
    answers: Answers,
    options: JoinOptions,
    files: Sequence[SourceFile] = (),
) -> Evaluation:
    """The evaluation of a version on your own test set.

    Labels stand in the version's order, then further ones; its assumed thresholds count, unless
    others were asked for. Its reported numbers are of another test set and do not come along.

    Args:
        version: Its evaluation so far: tells labels, thresholds and task.
        truth: The images and what is true of them.
        answers: What it said of them.
        options: How the two come together.
        files: What truth and answers were read from.

    Raises:
        EvaluationError: Version, truth and answers do not fit together.
        UsageError: The task that was asked for is not theirs.
    """
    task = options.task or choose_own_task(version, truth)
    known = zip(version.labels, version.thresholds.tolist(), strict=True)
    thresholds = {label: value for label, value in known if not np.isnan(value)}
    options = replace(
        options,
        task=task if task is not Task.DETECTION else options.task,
        thresholds={**thresholds, **options.thresholds},
    )
    joined = join_answers(version.version, _order_labels(version, truth), answers, options)
    return replace(
        joined,
        pos_label=version.pos_label,
        reported=Reported(train_images=version.reported.train_images),
        files=(*files, *(file for file in version.files if file.role == "summary")),
        doubts=(*joined.doubts, *doubt_shared(version, joined.images, task)),
    )


def _order_labels(version: Evaluation, truth: GroundTruth) -> GroundTruth:
    """The truth with its labels in the version's order, then further ones alphabetically."""
    labels = order_labels(version.labels, set(truth.labels))
    codes = place_labels(truth.labels, labels)
    sets = make_label_sets(
        truth.truth.image_idx,
        codes[truth.truth.label_idx],
        n_images=len(truth.images),
        n_labels=len(labels),
    )
    boxes = truth.boxes
    if boxes is not None:
        boxes = replace(boxes, label_idx=codes[boxes.label_idx].astype(np.int32))
    return replace(
        truth,
        labels=labels,
        truth=sets,
        boxes=boxes,
    )


def keep_predictions(version: Evaluation) -> tuple[SourceFile, ...]:
    """What a run on your own test set keeps of the version's own predictions."""
    if not may_be_replaced(version):
        return ()
    named = (file for file in version.files if file.role == _PREDICTIONS)
    return tuple(replace(file, role=VERSION_PREDICTIONS) for file in named)


def may_be_replaced(version: Evaluation) -> bool:
    """Whether another model may get the version's name."""
    return version.version.project.provider is Provider.CUSTOM


def has_same_predictions(own: Evaluation, version: Evaluation) -> bool | None:
    """Whether a version still has the predictions of when it met your own test set.

    None where its run of then does not tell.

    Args:
        own: The version on your own test set.
        version: The version as it is now.
    """
    kept = {file.sha256 for file in own.files if file.role == VERSION_PREDICTIONS}
    if not kept:
        return None
    return kept == {file.sha256 for file in keep_predictions(version)}
