"""Truth and answers -> an evaluation like any other: of a version, or of a model from anywhere."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Detections,
    Doubt,
    DoubtKind,
    Effect,
    Evaluation,
    FloatArray,
    IntArray,
    LabelSets,
    Outcome,
    Records,
    Reported,
    SliceColumn,
    SourceFile,
    Task,
    Version,
    keep_names,
    order_labels,
)
from mlrek.formats.columns import (
    find_offsets,
    keep_most_confident,
    make_label_sets,
    place_labels,
)
from mlrek.formats.doubts import doubt_unanswered, find_decided, show_spellings
from mlrek.formats.image_columns import limit_columns, merge_columns, take_places
from mlrek.formats.json_text import quoted, quoted_some, say_first
from mlrek.formats.predictions import Answers, JoinOptions
from mlrek.formats.predictions.boxes import place_boxes
from mlrek.formats.predictions.checks import (
    check_truth_given,
    doubt_names,
    doubt_thresholds_given,
    warn_contradicted,
)
from mlrek.formats.predictions.images import match_images
from mlrek.formats.predictions.labels import (
    choose_thresholds,
    find_true_names,
    warn_alike,
    warn_foreign,
)
from mlrek.formats.predictions.masks import choose_masks
from mlrek.formats.predictions.responses import Responses
from mlrek.formats.truth import GroundTruth
from mlrek.metrics import NO_CONFIDENCES
from mlrek.metrics.decisions import DEFAULT_THRESHOLD
from mlrek.metrics.doubts import BOX_AREAS, doubt_shared
from mlrek.metrics.test_set import take_images, take_rows

_SUM_TOLERANCE: Final = 1e-3
_NOT_SCORED: Final = (
    f"{NO_CONFIDENCES}: calibration, log loss, average precision, areas under curves, curves, "
    "advice on thresholds and cross-fitted values are left out"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Recorded labels by image of the truth: `offsets` (n_images + 1,), the others a row each.

    `corners` (n, 4) are there only where each row has a box.
    """

    offsets: IntArray
    code: IntArray
    confidence: FloatArray
    has_box: BoolArray
    corners: FloatArray

    @property
    def image_idx(self) -> IntArray:
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def join_own_test_set(
    version: Evaluation,
    truth: GroundTruth,
    responses: Responses,
    files: Sequence[SourceFile] = (),
) -> Evaluation:
    """The evaluation of a version on your own test set.

    Labels stand in the version's order, then further ones alphabetically; its assumed thresholds
    count. Its reported numbers are of another test set and do not come along. An image without an
    answer has no prediction: a miss.

    Args:
        version: Its evaluation by the provider: tells labels, thresholds and task.
        truth: The images and what is true of them.
        responses: What it answered.
        files: What truth and answers were read from.

    Raises:
        EvaluationError: Version, truth and answers are not of one task, or not one answer is of an
            image of the manifest.
    """
    task = choose_own_task(version, truth)
    _check_common(truth, responses)
    rows = _place_rows(truth.images, responses)
    used = np.bincount(rows.code, minlength=len(responses.labels)) > 0
    answered = {label for label, code in responses.labels.items() if used[code]}
    labels = order_labels(version.labels, {*truth.labels, *answered})
    rows = replace(rows, code=place_labels(responses.labels, labels)[rows.code])
    true_codes = place_labels(truth.labels, labels)
    is_detection = task == Task.DETECTION
    thresholds = _place_thresholds(version, labels)
    records, repeated = _sort_rows(rows, len(labels), keep=not is_detection)
    columns, of_columns = limit_columns(truth.columns)
    return Evaluation(
        version=version.version,
        task=task,
        labels=labels,
        images=tuple(truth.images),
        truth=make_label_sets(
            truth.truth.image_idx,
            true_codes[truth.truth.label_idx],
            n_images=len(truth.images),
            n_labels=len(labels),
        ),
        records=records,
        thresholds=thresholds,
        detections=_place_boxes(truth, rows, true_codes) if is_detection else None,
        slice_columns=columns,
        pos_label=version.pos_label,
        reported=Reported(train_images=version.reported.train_images),
        files=(*files, *(file for file in version.files if file.role == "summary")),
        doubts=(
            *truth.doubts,
            *responses.doubts,
            *_doubt_unanswered(truth.images, responses),
            *_doubt_cut(responses, task, thresholds),
            *doubt_shared(version, truth.images, task),
        ),
        warnings=(
            *truth.warnings,
            *_warn_strangers({*truth.images, *truth.unlabelled}, responses),
            *_warn_labels(version, truth.labels),
            *repeated,
            *of_columns,
        ),
    )


def _check_common(truth: GroundTruth, responses: Responses) -> None:
    """Refuse answers of other images, which are no proof that a model is always wrong."""
    answered = [*responses.images, *responses.errors]
    if not answered:
        raise EvaluationError("there is not one answer in the file of responses")
    if set(truth.images).isdisjoint(answered):
        raise EvaluationError(
            "not one answer is of an image of the manifest: answers and manifest write "
            f"{show_spellings(answered, truth.images)}; give the answers of this test set, with "
            "`image` exactly as the manifest writes `source-ref`"
        )


def choose_own_task(version: Evaluation, truth: GroundTruth) -> Task:
    """The task, where version and truth agree on one.

    Raises:
        EvaluationError: They do not.
    """
    if version.task == Task.SEGMENTATION:
        raise EvaluationError(
            f"{version.version.arn}: finds areas of pixels, which no answer of an endpoint holds; "
            "evaluate versions that name labels or find objects"
        )
    finds_boxes, has_boxes = (task == Task.DETECTION for task in (version.task, truth.task))
    if finds_boxes != has_boxes:
        found, true = (
            "boxes" if one else "labels of the whole image" for one in (finds_boxes, has_boxes)
        )
        raise EvaluationError(
            f"{version.version.arn}: gives {found}, but the manifest has {true}; name an "
            f"attribute with {found} by --attribute, or another manifest"
        )
    is_multilabel = Task.MULTILABEL in {version.task, truth.task}
    return Task.MULTILABEL if is_multilabel else truth.task


def _place_rows(images: Sequence[str], responses: Responses) -> _Rows:
    """The answer of each image, in the order of the images; codes are those of the responses."""
    place = {image: i for i, image in enumerate(responses.images)}
    answer = np.array([place.get(image, -1) for image in images], dtype=np.int64)
    starts = np.asarray(responses.offsets, dtype=np.int64)
    rows, offsets = take_rows(np.append(starts, starts[-1]), answer)  # the last, empty, for -1
    has_box = np.asarray(responses.has_box, dtype=np.bool_)
    boxes = (np.cumsum(has_box) - 1)[rows] if has_box[rows].all() else np.zeros(0, dtype=np.int64)
    return _Rows(
        offsets=offsets,
        code=np.asarray(responses.label, dtype=np.int64)[rows],
        confidence=np.asarray(responses.confidence)[rows],
        has_box=has_box[rows],
        corners=np.asarray(responses.corners).reshape(-1, 4)[boxes],
    )


def _sort_rows(rows: _Rows, n_labels: int, *, keep: bool) -> tuple[Records, tuple[str, ...]]:
    """The records of each image in label order, of several of one label the most confident.

    Raises:
        EvaluationError: There are boxes among them.
    """
    if keep and _rise(rows):
        return _make_records(rows.offsets, rows.code, rows.confidence), ()
    n_images = len(rows.offsets) - 1
    if keep and np.any(rows.has_box):
        raise EvaluationError(
            "the responses hold boxes, but the version and the manifest have labels of the whole "
            "image: they are of another version"
        )
    keys = rows.image_idx * max(n_labels, 1) + rows.code
    kept = keep_most_confident(keys, rows.confidence) if keep else np.zeros(0, dtype=np.int64)
    n_repeated = len(keys) - len(kept) if keep else 0
    said = f"{n_repeated} of {len(keys)} labels stand twice in an answer; the most confident counts"
    offsets = find_offsets(rows.image_idx[kept], n_images)
    records = _make_records(offsets, rows.code[kept], rows.confidence[kept])
    return records, (said,) if n_repeated else ()


def _rise(rows: _Rows) -> bool:
    """Whether the labels of each image are in order already, each once, and have no boxes."""
    if np.any(rows.has_box):
        return False
    rises = rows.code[1:] > rows.code[:-1]
    starts = rows.offsets[(rows.offsets > 0) & (rows.offsets < len(rows.code))]
    rises[starts - 1] = True
    return bool(rises.all())


def _make_records(offsets: IntArray, code: IntArray, confidence: FloatArray) -> Records:
    return Records(
        offsets=offsets,
        label_idx=code.astype(np.int32, copy=False),
        confidence=confidence,
        outcome=np.broadcast_to(np.uint8(Outcome.UNKNOWN), len(code)),  # takes no memory,
    )


def _place_thresholds(version: Evaluation, labels: Sequence[str]) -> FloatArray:
    """The version's assumed thresholds; NaN for a label that it does not know."""
    known = dict(zip(version.labels, version.thresholds.tolist(), strict=True))
    return np.array([known.get(label, np.nan) for label in labels], dtype=np.float64)


def _place_boxes(truth: GroundTruth, rows: _Rows, true_codes: IntArray) -> Detections:
    """True and recorded boxes, all in pixels; `true_codes` are the new codes of true labels.

    Raises:
        EvaluationError: A record has no box, or the size of its image is not known.
    """
    assert truth.boxes is not None  # noqa: S101 - for the type checker: `choose_own_task` saw to it
    assert truth.image_sizes is not None  # noqa: S101 - same
    image_idx = rows.image_idx
    _check(~rows.has_box, truth, image_idx, "an answer without a box, of a version that finds them")
    unknown = np.asarray(np.isnan(truth.image_sizes[image_idx]).any(axis=1))
    _check(unknown, truth, image_idx, "no image_size in the manifest: found boxes have no place")
    corners = rows.corners * np.tile(truth.image_sizes, 2)[image_idx]
    return Detections(
        truth=replace(
            truth.boxes, label_idx=true_codes[truth.boxes.label_idx].astype(np.int32), masks=None
        ),
        records=Boxes(
            offsets=rows.offsets,
            label_idx=rows.code.astype(np.int32),
            boxes_xyxy=corners,
            confidence=rows.confidence,
            outcome=np.full(len(rows.code), Outcome.UNKNOWN, dtype=np.uint8),
        ),
        image_sizes=truth.image_sizes,
    )


def _check(wrong: BoolArray, truth: GroundTruth, image_idx: IntArray, what: str) -> None:
    if n := np.count_nonzero(wrong):
        first = quoted(truth.images[image_idx[int(np.argmax(wrong))]])
        n_images = len(np.unique(image_idx[wrong]))
        raise EvaluationError(f"{n} boxes on {n_images} images: {what}; first: {first}")


def _doubt_unanswered(images: Sequence[str], responses: Responses) -> Iterator[Doubt]:
    answered, distinct = set(responses.images), dict.fromkeys(images)
    missed = [
        f"{quoted(image)}: {responses.errors[image]}"
        if image in responses.errors
        else quoted(image)
        for image in distinct
        if image not in answered
    ]
    yield from doubt_unanswered(missed, len(distinct))


def _warn_strangers(known: Collection[str], responses: Responses) -> Iterator[str]:
    strange = [i for i in (*responses.images, *responses.errors) if i not in known]
    if strange:
        n = len(responses.images) + len(responses.errors)
        what = "responses are of images that the manifest does not hold, and are left out"
        yield say_first(len(strange), n, what, strange[0])


def _warn_labels(version: Evaluation, labels: Sequence[str]) -> Iterator[str]:
    unknown = [label for label in labels if label not in version.labels]
    if unknown:
        yield (
            f"{len(unknown)} of {len(labels)} labels of the manifest are none of the version's and "
            f"can only be missed: {quoted_some(unknown)}"
        )


def _doubt_cut(responses: Responses, task: Task, thresholds: FloatArray) -> Iterator[Doubt]:
    """What was not asked for is not there: average precision then ends early, as may recall."""
    cut = max((c for c in responses.min_confidence if c is not None), default=0.0)
    if task is Task.DETECTION and cut > 0:
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"boxes below {cut:g} % were not asked for (min_confidence): average precision is "
                "a lower bound"
            ),
            touches=BOX_AREAS,
        )
    lowest = np.min(np.nan_to_num(thresholds, nan=DEFAULT_THRESHOLD), initial=1.0)
    if 100 * lowest < cut:
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"answers below {cut:g} % were not asked for (min_confidence), while a label "
                f"counts as predicted from {100 * lowest:g} % on: false alarms between the two are "
                "not seen"
            ),
            touches=find_decided(task),
            own_effect=Effect.STOPS,
        )


def join_answers(
    version: Version, truth: GroundTruth, answers: Answers, options: JoinOptions
) -> Evaluation:
    """The evaluation of a model from anywhere.

    Labels stand in the order of the truth, then in that of the answers.

    Args:
        version: Whose answers they are.
        truth: The images and what is true of them.
        answers: What the model said.
        options: How the two come together.

    Raises:
        EvaluationError: They do not fit together, or no join of them can be trusted.
        UsageError: The task that was asked for is not theirs.
    """
    task, said = _find_task(truth, answers, options)
    truth, answers, of_masks = choose_masks(truth, answers)
    matched = match_images(truth, answers, options, task)
    names = find_true_names(truth, answers, options)
    labels = tuple(dict.fromkeys((*truth.labels, *names)))
    codes, true_codes = place_labels(names, labels), place_labels(truth.labels, labels)
    thresholds, of_thresholds = choose_thresholds(answers, names, labels, options)
    detections: Detections | None = None
    of_boxes: tuple[str, ...] = ()
    if task is Task.DETECTION:
        detections, of_boxes = place_boxes(truth, answers, matched.answer)
        detections = _recode(detections, true_codes, codes)
    rows = _take_answers(answers, matched.answer, codes)
    records, repeated = _sort_rows(rows, len(labels), keep=detections is None)
    columns, of_columns = _join_columns(truth, answers, matched.answer)
    evaluation = Evaluation(
        version=version,
        task=task,
        labels=labels,
        images=keep_names(truth.images),
        truth=_recode_truth(truth, true_codes, len(labels)),
        records=records,
        thresholds=thresholds,
        detections=detections,
        is_scored=answers.is_scored,
        slice_columns=columns,
    )
    check_truth_given(evaluation, answers)
    seen = (*doubt_names(evaluation), *doubt_thresholds_given(evaluation))
    evaluation = replace(
        evaluation,
        doubts=(
            *truth.doubts,
            *answers.doubts,
            *matched.doubts,
            *(one for one in seen if isinstance(one, Doubt)),
        ),
        warnings=(
            *truth.warnings,
            *answers.warnings,
            *said,
            *(() if answers.is_scored else (_NOT_SCORED,)),
            *of_masks,
            *matched.warnings,
            *warn_alike(truth.labels, names),
            *warn_foreign(truth.labels, names, _find_used(truth)),
            *of_thresholds,
            *repeated,
            *of_boxes,
            *_warn_named(evaluation, answers, matched.answer, codes),
            *of_columns,
            *(one for one in seen if isinstance(one, str)),
        ),
    )
    if matched.is_kept.all():
        return evaluation
    return take_images(evaluation, np.flatnonzero(matched.is_kept))


def _join_columns(
    truth: GroundTruth, answers: Answers, answer: IntArray
) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
    """What both sides say of each image besides, and what is left out of it."""
    columns = [take_places(column, answer) for column in answers.columns]
    merged, differing = merge_columns(truth.columns, columns, truth.images)
    kept, left_out = limit_columns(merged)
    return kept, (*differing, *left_out)


def _find_used(truth: GroundTruth) -> BoolArray:
    """Which labels are true of some image, (n_labels,)."""
    rows = truth.truth if truth.boxes is None else truth.boxes
    return np.bincount(rows.label_idx, minlength=len(truth.labels)) > 0


def _recode_truth(truth: GroundTruth, true_codes: IntArray, n_labels: int) -> LabelSets:
    """The true labels with the codes of the evaluation, which mostly are those that they have."""
    if np.array_equal(true_codes, np.arange(len(true_codes))):
        return truth.truth
    return make_label_sets(
        truth.truth.image_idx,
        true_codes[truth.truth.label_idx],
        n_images=len(truth.images),
        n_labels=n_labels,
    )


def _recode(detections: Detections, true_codes: IntArray, codes: IntArray) -> Detections:
    """The boxes with the codes of the evaluation."""
    truth, found = detections.truth, detections.records
    return replace(
        detections,
        truth=replace(truth, label_idx=true_codes[truth.label_idx].astype(np.int32)),
        records=replace(found, label_idx=codes[found.label_idx].astype(np.int32)),
    )


def _warn_named(
    evaluation: Evaluation, answers: Answers, answer: IntArray, codes: IntArray
) -> Iterator[str]:
    """That predicted labels of the file contradict its confidences."""
    if answers.predicted is None or evaluation.task is not Task.CLASSIFICATION:
        return
    named = np.append(codes, -1)[np.append(answers.predicted, -1)[answer]]
    if answers.is_scored:
        yield from warn_contradicted(
            evaluation.records, named, evaluation.images, evaluation.labels
        )


def _find_task(
    truth: GroundTruth, answers: Answers, options: JoinOptions
) -> tuple[Task, tuple[str, ...]]:
    """The task that the data show, and what is to be said where they leave it open.

    Raises:
        EvaluationError: One side has boxes, the other labels of the whole image.
        UsageError: Another task is asked for than the data can be of.
    """
    has_boxes, finds_boxes = truth.boxes is not None, answers.boxes is not None
    if has_boxes != finds_boxes:
        true, found = ("boxes" if one else "labels of images" for one in (has_boxes, finds_boxes))
        raise EvaluationError(
            f"the truth has {true}, but the predictions have {found}: give files of one kind"
        )
    has_several = bool(np.any(truth.truth.counts > 1))
    possible = {
        True: (Task.DETECTION,),
        False: (Task.MULTILABEL,) if has_several else (Task.CLASSIFICATION, Task.MULTILABEL),
    }[has_boxes]
    if options.task is not None:
        if options.task not in possible:
            raise UsageError(_say_impossible(options.task, possible, has_boxes=has_boxes))
        return options.task, ()
    if has_boxes:
        return Task.DETECTION, ()
    if has_several:
        return Task.MULTILABEL, tuple(_warn_several(truth, answers))
    if truth.task is Task.MULTILABEL:
        return truth.task, ()
    return _choose_open(answers)


def _warn_several(truth: GroundTruth, answers: Answers) -> Iterator[str]:
    """That images have several true labels while the answers look like one label an image."""
    if np.any(_sum_up(answers) > 1 + _SUM_TOLERANCE):
        return
    several = truth.truth.counts > 1
    what = "images have several true labels, so each may have several, while each prediction looks "
    what += "like one label; where the truth was labelled twice, keep one label of an image"
    yield say_first(int(several.sum()), len(several), what, truth.images[int(np.argmax(several))])


def _sum_up(answers: Answers) -> FloatArray:
    """The confidences of each answer together, (n_images,)."""
    sums, has_rows = np.zeros(len(answers.images)), np.diff(answers.offsets) > 0
    if has_rows.any():
        sums[has_rows] = np.add.reduceat(answers.confidence, answers.offsets[:-1][has_rows])
    return sums


def _say_impossible(task: Task, possible: Sequence[Task], *, has_boxes: bool) -> str:
    shows = "there are boxes" if has_boxes else "there are no boxes"
    if task is Task.CLASSIFICATION and not has_boxes:
        shows = "some images have several true labels"
    return f"--task {task}: {shows}; the data are of {' or '.join(possible)}"


def _choose_open(answers: Answers) -> tuple[Task, tuple[str, ...]]:
    """The task of images with one true label each: it shows in the answers, where it shows."""
    counts = np.diff(answers.offsets)
    n_several = np.count_nonzero(counts > 1)
    if not answers.is_scored:
        if not n_several:
            return Task.CLASSIFICATION, ()
        said = "predictions name several labels, so each image may have several (--task multilabel)"
        return Task.MULTILABEL, (f"{n_several} of {len(counts)} {said}",)
    if not (n_over := np.count_nonzero(_sum_up(answers) > 1 + _SUM_TOLERANCE)):
        return Task.CLASSIFICATION, ()
    said = (
        "predictions have confidences that sum to more than 1, as where an image may have several "
        "labels: they are taken for one label an image, as the truth has one; --task multilabel "
        "says otherwise"
    )
    return Task.CLASSIFICATION, (f"{n_over} of {len(counts)} {said}",)


def _take_answers(answers: Answers, answer: IntArray, codes: IntArray) -> _Rows:
    """The rows of each image's answer, (n_images,); -1: none."""
    rows: IntArray | slice = slice(None)
    offsets = answers.offsets
    if not np.array_equal(answer, np.arange(len(answers.images))):
        rows, offsets = take_rows(np.append(offsets, offsets[-1]), answer)
    label_idx = answers.label_idx[rows]
    are_alike = np.array_equal(codes, np.arange(len(codes)))
    return _Rows(
        offsets=offsets,
        code=label_idx if are_alike else codes.astype(np.int32)[label_idx],
        confidence=answers.confidence[rows],
        has_box=np.broadcast_to(np.False_, int(offsets[-1])),
        corners=np.zeros((0, 4)),
    )
