"""A known version on your own test set, by answers of any form."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlrek.evaluation import (
    Evaluation,
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
