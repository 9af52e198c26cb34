"""Lookout for Vision: manifest, result and description of a version -> its evaluation.

Labels are `normal` and `anomaly`, the positive class; after them, for a model that marks pixels,
its kinds of anomaly. The manifest gives the confidence c in the predicted class alone: the other
class has the confidence 1 - c, so that records are complete and the anomaly score is c or 1 - c.
Outcomes are what the service decided against the truth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import nan

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Doubt,
    DoubtKind,
    Evaluation,
    FloatArray,
    LabelSets,
    Outcome,
    Records,
    Task,
    Version,
    order_labels,
)
from mlrek.formats.columns import add_up, warn_first
from mlrek.formats.described import Document, check_described
from mlrek.formats.doubts import complete_doubts, doubt_foreign, settle_images
from mlrek.formats.json_text import show
from mlrek.formats.lookout_arn import (
    find_lookout_version,
    parse_lookout_name,
)
from mlrek.formats.lookout_description import LookoutDescription, parse_description
from mlrek.formats.lookout_line import ANOMALY, CLASSES
from mlrek.formats.lookout_manifest import (
    EMPTY_MANIFEST,
    NO_CLASS,
    LookoutInput,
    LookoutManifest,
    ReadMasks,
    parse_manifest,
)
from mlrek.formats.lookout_masks import (
    count_mask_pairs,
    find_mask_labels,
    has_predicted_masks,
)
from mlrek.formats.lookout_result import LookoutResult, parse_result

__all__ = [
    "Document",
    "LookoutDescription",
    "LookoutInput",
    "LookoutResult",
    "ReadMasks",
    "find_lookout_version",
    "parse_description",
    "parse_lookout_evaluation",
    "parse_lookout_name",
    "parse_result",
]

# By whether the service decided for a class, then by whether it is true.
_OUTCOMES = np.array([[Outcome.TN, Outcome.FN], [Outcome.FP, Outcome.TP]], dtype=np.uint8)


def parse_lookout_evaluation(
    version: Version,
    *,
    manifest: LookoutInput | None = None,
    result: Document | None = None,
    description: LookoutDescription | None = None,
    skip_bad_lines: bool = False,
    warnings: Sequence[str] = (),
) -> Evaluation:
    """The evaluation of one version from what there is of it.

    It is of a model that marks pixels when the result has numbers of pixels or the manifest names
    predicted masks. `Evaluation.files` is left empty: sizes and hashes are known to the caller once
    the manifest's last chunk is read.

    Args:
        version: What is known of the version.
        manifest: The evaluation manifest; without it the evaluation has no images.
        result: The result file, with the service's own numbers.
        description: The service's description of the model; its numbers count where the result
            has none.
        skip_bad_lines: Leave malformed lines out, counted in a warning, instead of failing.
        warnings: What the caller noticed before; they come first.

    Raises:
        ParseError: A file is not what it should be.
        EvaluationError: There is nothing at all.
    """
    described = description.reported if description else {}
    if manifest is None and result is None and not described:
        raise EvaluationError(f"{version.arn}: no manifest, no result and no reported number")
    found = parse_result(result.uri, result.data) if result else LookoutResult()
    told = found if _is_own(version, found) else LookoutResult(warnings=found.warnings)
    columns = EMPTY_MANIFEST
    if manifest is not None:
        columns = parse_manifest(manifest, skip_bad_lines=skip_bad_lines)
    evaluation = _join(version, columns, told, manifest.read_masks if manifest else None)
    evaluation = replace(
        evaluation,
        reported=replace(told.reported, aggregate={**described, **told.reported.aggregate}),
        summary=result.data if result else b"",
        doubts=(*_doubt_version(version, columns, found, evaluation.task), *evaluation.doubts),
        warnings=(
            *warnings,
            *told.warnings,
            *check_described(described, told.reported.aggregate, what="model", file="result"),
            *columns.warnings,
            *evaluation.warnings,
        ),
    )
    return complete_doubts(evaluation)


def _join(
    version: Version, columns: LookoutManifest, told: LookoutResult, read_masks: ReadMasks | None
) -> Evaluation:
    marks_pixels = told.has_pixel_numbers or has_predicted_masks(columns)
    found = find_mask_labels(columns) if marks_pixels else set()
    labels = order_labels((*CLASSES, *told.pixel_labels), found)
    masks, doubts = None, list[Doubt]()
    said = list(_warn_unused_masks(columns))
    if marks_pixels:
        codes = {label: code for code, label in enumerate(labels)}
        masks, doubts, said = count_mask_pairs(columns, codes, read_masks)
    evaluation = Evaluation(
        version=version,
        task=Task.SEGMENTATION if marks_pixels else Task.CLASSIFICATION,
        labels=labels,
        images=columns.images,
        truth=_make_truth(columns),
        records=_make_records(columns),
        thresholds=np.full(len(labels), nan),
        masks=masks,
        pos_label=ANOMALY,
        doubts=(*columns.doubts, *doubts),
        warnings=(*_check_confidence(columns), *said),
    )
    has_mask = np.array([ref is not None for ref in columns.true_masks], dtype=np.bool_)
    return settle_images(
        evaluation,
        is_labelled=(columns.y_true != NO_CLASS) | (has_mask & marks_pixels),
        is_answered=columns.y_pred != NO_CLASS,
    )


def _make_truth(columns: LookoutManifest) -> LabelSets:
    is_labelled = columns.y_true != NO_CLASS
    return LabelSets(
        offsets=add_up(is_labelled), label_idx=columns.y_true[is_labelled].astype(np.int32)
    )


def _make_records(columns: LookoutManifest) -> Records:
    """A record of each class for each image that has a prediction."""
    is_answered = columns.y_pred != NO_CLASS
    y_true, y_pred = (y[is_answered, np.newaxis] for y in (columns.y_true, columns.y_pred))
    classes = np.arange(len(CLASSES))
    outcome = _OUTCOMES[(y_pred == classes).astype(int), (y_true == classes).astype(int)]
    outcome[y_true[:, 0] == NO_CLASS] = Outcome.UNKNOWN
    return Records(
        offsets=add_up(is_answered * len(CLASSES)),
        label_idx=np.tile(classes, len(y_pred)).astype(np.int32),
        confidence=_score_classes(columns)[is_answered].ravel(),
        outcome=outcome.ravel(),
    )


def _score_classes(columns: LookoutManifest) -> FloatArray:
    """The confidence in each class, (n_images, 2): c in the predicted one, 1 - c in the other."""
    is_predicted = columns.y_pred[:, np.newaxis] == np.arange(len(CLASSES))
    confidence = columns.confidence[:, np.newaxis]
    return np.where(is_predicted, confidence, 1 - confidence)


def _check_confidence(columns: LookoutManifest) -> Iterator[str]:
    """Where the class that the service decided for is not the one it is more sure of."""
    is_answered = columns.y_pred != NO_CLASS
    top = np.argmax(_score_classes(columns), axis=1)  # a tie is normal, as in label order
    what = (
        "predictions have a confidence that speaks for the other class: the confidence counts, and "
        "the decision in at_threshold/ alone"
    )
    is_doubtful = is_answered & (top != columns.y_pred)
    yield from warn_first(columns.images, is_doubtful, what, of=int(is_answered.sum()))


def _is_own(version: Version, told: LookoutResult) -> bool:
    """Whether a result is of this version, or does not say of which."""
    return told.model_arn in {"", version.arn}


def _doubt_version(
    version: Version, columns: LookoutManifest, told: LookoutResult, task: Task
) -> Iterator[Doubt]:
    """A result of another version is not used; answers of another one stop everything."""
    if not _is_own(version, told):
        yield doubt_foreign("result", told.model_arn, task)
    for arn in columns.model_arns:
        if arn != version.arn:
            yield Doubt(
                kind=DoubtKind.FOREIGN_SUMMARY,
                text=f"the manifest holds the answers of another version: {show(arn)}",
            )


def _warn_unused_masks(columns: LookoutManifest) -> Iterator[str]:
    if n := sum(ref is not None for ref in columns.true_masks):
        yield (
            f"{n} of {len(columns.images)} images have a true mask, but no predicted mask and no "
            "number of pixels is there: this is read as a model that marks none"
        )
