"""AutoML Vision (legacy) and Vertex AI: what Google's files hold -> an evaluation. No I/O.

`sniff_google` tells what a file is, `collect_google` finds the versions in a tree of files, and
`parse_google` makes the evaluation of one: Google's own numbers, and, where batch predictions and
ground truth lie beside them, what was predicted for each test image.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import nan

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Doubt,
    DoubtKind,
    Effect,
    Evaluation,
    IntArray,
    LabelSets,
    Records,
    Reported,
    Task,
)
from mlrek.formats.doubts import complete_doubts
from mlrek.formats.google.collection import GoogleCollection, GoogleVersion, collect_google
from mlrek.formats.google.documents import (
    HEAD_BYTES,
    MODELS,
    GoogleRole,
    parse_google_name,
    sniff_google,
)
from mlrek.formats.google.join import Joined, join_images
from mlrek.formats.google.json import Details
from mlrek.formats.google.metrics import GoogleSettings, PublishedNumbers
from mlrek.formats.google.predictions import DataInput, TruthColumns, parse_predictions, parse_truth
from mlrek.metrics.decisions import DEFAULT_THRESHOLD
from mlrek.metrics.doubts import BOX_AREAS

__all__ = [
    "HEAD_BYTES",
    "MODELS",
    "GoogleCollection",
    "GoogleRole",
    "GoogleSettings",
    "GoogleVersion",
    "collect_google",
    "parse_google",
    "parse_google_name",
    "sniff_google",
]

OpenFile = Callable[[str], Iterable[bytes]]
"""The chunks of a file, by the name it was collected under."""

_LEGACY_MINIMUM = 0.5  # what is below is left out by default in legacy batch predictions
_NO_NUMBERS = PublishedNumbers(
    reported=Reported(), labels=(), label_names={}, task=Task.CLASSIFICATION, is_task_known=False
)
_NO_CODES: IntArray = np.zeros(0, dtype=np.int64)
_NO_IMAGES: IntArray = np.zeros(1, dtype=np.int64)
_NO_TRUTH = LabelSets(offsets=_NO_IMAGES, label_idx=_NO_CODES)
_NO_RECORDS = Records(
    offsets=_NO_IMAGES,
    label_idx=_NO_CODES,
    confidence=np.zeros(0),
    outcome=np.zeros(0, dtype=np.uint8),
)
_UNKNOWN_TASK = (
    "nothing tells whether an image has one label or several; one is assumed (the JSON of the data "
    "set or of the training pipeline would tell)"
)
_OTHER_KIND = (
    "the batch predictions are {predicted}, the evaluation is of {published}: they are of another "
    "model and are not used"
)


def parse_google(
    found: GoogleVersion, open_file: OpenFile, *, skip_bad_lines: bool = False
) -> Evaluation:
    """The evaluation of one version.

    Google publishes no threshold of its own: `thresholds` are NaN and no record has an outcome, so
    that several labels an image are predicted at the 0.5 of whoever computes.

    Args:
        found: A version that is neither `skipped` nor `refused`.
        open_file: Opens the files with a line per image; documents are read already.
        skip_bad_lines: Leave malformed lines out and count them in a warning.

    Raises:
        EvaluationError: There is nothing to make an evaluation of.
        ParseError: A line is malformed.
    """
    if found.skipped or found.refused:
        raise EvaluationError(f"{found.version.arn}: {found.skipped or found.refused}")
    numbers = found.numbers or _NO_NUMBERS
    images = _read_images(found, numbers, open_file, skip_bad_lines=skip_bad_lines)
    joined = images.joined
    if joined is None and found.numbers is None:
        reason = "; ".join(images.warnings)
        raise EvaluationError(f"{found.version.arn}: no image can be evaluated: {reason}")
    labels = joined.labels if joined else numbers.labels
    evaluation = Evaluation(
        version=found.version,
        task=images.task,
        labels=labels,
        images=joined.images if joined else (),
        truth=joined.truth if joined else _NO_TRUTH,
        records=joined.records if joined else _NO_RECORDS,
        thresholds=np.full(len(labels), nan),
        detections=joined.detections if joined else None,
        reported=numbers.reported,
        summary=found.summary,
        doubts=images.doubts,
        warnings=tuple(dict.fromkeys((*found.warnings, *numbers.warnings, *images.warnings))),
    )
    return complete_doubts(evaluation)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    """What predictions and ground truth tell; `joined` is None where no image stands in both."""

    task: Task
    joined: Joined | None = None
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()


def _read_images(
    found: GoogleVersion, numbers: PublishedNumbers, open_file: OpenFile, *, skip_bad_lines: bool
) -> _Images:
    if not found.has_images:
        unknown = found.numbers is not None and not numbers.is_task_known
        return _Images(task=numbers.task, warnings=(_UNKNOWN_TASK,) if unknown else ())

    def open_inputs(role: GoogleRole) -> Iterator[DataInput]:
        return ((name, open_file(name)) for name in found.names_of(role))

    predictions = parse_predictions(
        open_inputs(GoogleRole.PREDICTIONS),
        label_names=numbers.label_names,
        skip_bad_lines=skip_bad_lines,
    )
    is_detection = found.numbers is not None and numbers.task is Task.DETECTION
    if not predictions.label:
        predictions.has_boxes = is_detection  # not one label or box tells
    elif found.numbers is not None and predictions.has_boxes != is_detection:
        kinds = {True: "boxes", False: "labels of whole images"}
        said = _OTHER_KIND.format(
            predicted=kinds[predictions.has_boxes], published=kinds[is_detection]
        )
        return _Images(task=numbers.task, warnings=(said,))
    truth = parse_truth(
        open_inputs(GoogleRole.TRUTH),
        has_boxes=predictions.has_boxes,
        skip_bad_lines=skip_bad_lines,
    )
    joined = join_images(predictions, truth, numbers.labels)
    warnings = (*joined.warnings, *_warn_joined(joined, found.job))
    task = _choose_task(joined, numbers, truth)
    if not joined.images:
        return _Images(task=task, warnings=warnings)
    doubts = (*joined.doubts, *_doubt_kept(joined, task, found.job))
    return _Images(task=task, joined=joined, doubts=doubts, warnings=warnings)


def _choose_task(joined: Joined, numbers: PublishedNumbers, truth: TruthColumns) -> Task:
    """Several labels an image wherever an image has them, or the provider says so."""
    if joined.detections is not None:
        return Task.DETECTION
    if np.any(joined.truth.counts > 1):
        return Task.MULTILABEL
    if numbers.is_task_known:
        return numbers.task
    return Task.MULTILABEL if truth.says_several else Task.CLASSIFICATION


def _warn_joined(joined: Joined, job: Details | None) -> Iterator[str]:
    if not joined.images:
        yield "no image stands in both the batch predictions and the test set of the ground truth"
        return
    n_cells = int(np.count_nonzero(joined.records.counts)) * len(joined.labels)
    n_missing = n_cells - len(joined.records.label_idx)
    if joined.detections is None and n_missing:
        yield (
            f"{n_missing} of {n_cells} confidences (of each label on each predicted image) are "
            f"not in the batch predictions{_say_kept(job)}: they are unknown, not 0; ask the job "
            f"for a confidence threshold of 0 and {len(joined.labels)} predictions an image"
        )


def _doubt_kept(joined: Joined, task: Task, job: Details | None) -> Iterator[Doubt]:
    """That the job left out what it was less sure of."""
    kept, confidence = _say_kept(job), joined.records.confidence
    if joined.detections is not None:
        confidence = joined.detections.records.confidence
        lowest = np.min(confidence, initial=1.0)
        if kept or lowest >= _LEGACY_MINIMUM:
            yield Doubt(
                kind=DoubtKind.RECORDS_PARTIAL,
                text=(
                    f"no predicted box has a confidence below {lowest:g}{kept}: less sure ones are "
                    "probably left out, so average precision is a lower bound"
                ),
                touches=BOX_AREAS,
            )
    if (
        job
        and task is not Task.CLASSIFICATION
        and (job.confidence_threshold or 0) > DEFAULT_THRESHOLD
    ):
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"the batch predictions end above {DEFAULT_THRESHOLD:g}{kept}, from which on "
                "a label counts as predicted: false alarms between the two are not seen"
            ),
            touches=("aggregate/*", "label_*", "at_threshold/*"),
            own_effect=Effect.STOPS,
        )


def _say_kept(job: Details | None) -> str:
    """What a batch prediction was asked to leave out; empty where nothing, or it is not told."""
    if job is None:
        return ""
    said = []
    if job.confidence_threshold:
        said.append(f"confidence threshold {job.confidence_threshold:g}")
    if job.max_predictions:
        said.append(f"at most {job.max_predictions:g} predictions an image")
    return f" (the job kept {' and '.join(said)})" if said else ""
