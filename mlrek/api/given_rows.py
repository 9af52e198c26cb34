"""Truth and predictions whose rows belong together by position -> what is joined."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mlrek.api.given import choose
from mlrek.api.given_boxes import BoxForm, are_boxes, combine_boxes, read_boxes
from mlrek.api.given_labels import (
    MATRIX,
    GivenColumn,
    GivenLabels,
    NamedLabels,
    count_rows_given,
    find_indicators,
    find_true,
    find_wrong,
    flatten_sets,
    is_missing,
    list_score_names,
    name_indicators,
    order_given_labels,
    read_column,
    read_scores,
    read_thresholds_given,
    to_column,
    to_numbers,
)
from mlrek.api.given_tables import is_table, read_frames
from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import (
    Boxes,
    FloatArray,
    IntArray,
    LabelSets,
    Task,
)
from mlrek.formats.columns import make_label_sets
from mlrek.formats.json_text import quoted_some, say_first
from mlrek.formats.predictions import Answers, Match, Unmatched
from mlrek.formats.truth import GroundTruth
from mlrek.metrics.decisions import DEFAULT_THRESHOLD

DEFAULT_PROJECT: Final = "python"
_UNNAMED: Final = (
    "the images have no names and are counted from 0: compare only with evaluations of the same "
    "images in the same order, or name them with `images=`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOptions:
    """What arrays mean, and whose they are; each is explained at `evaluate`."""

    labels: GivenLabels = None
    images: object = None
    boxes: object = None
    image_sizes: object = None
    task: str | None = None
    thresholds: object = None
    pos_label: object = None
    slices: object = None
    match: str = Match.URI
    unmatched: str = Unmatched.ERROR
    project: str = DEFAULT_PROJECT
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRows:
    """Truth and answers; `said` are remarks on how they fit together. `task` None: as they show."""

    truth: GroundTruth
    answers: Answers
    labels: NamedLabels
    task: Task | None = None
    said: tuple[str, ...] = ()


def read_given(y_true: Any, y_pred: Any, y_score: Any, options: ArrayOptions) -> GivenRows:
    """Truth and predictions of arrays, or of tables that name their images.

    Raises:
        EvaluationError: What is given contradicts itself, or is not what it should be.
        UsageError: An option is not what it should be, or there is nothing to evaluate.
    """
    read = _read_tables if is_table(y_true) else _read_arrays
    return read(y_true, y_pred, y_score, options)


def _read_tables(y_true: Any, y_pred: Any, y_score: Any, options: ArrayOptions) -> GivenRows:
    """Frames that name their images.

    Raises:
        UsageError: Something is given besides that the tables hold themselves.
    """
    extra = {"y_score": y_score, "labels": options.labels, "images": options.images}
    if named := [name for name, given in extra.items() if given is not None]:
        raise UsageError(
            f"{named[0]}: y_true is a table that names its images; scores (`confidence`, or a "
            "column score_<label> for each label), labels and images are columns of such tables"
        )
    truth, answers = read_frames(y_true, y_pred)
    labels = order_given_labels(list(dict.fromkeys((*truth.labels, *answers.labels))), ())
    return GivenRows(truth=truth, answers=answers, labels=labels, task=_ask_task(options))


def _read_arrays(y_true: Any, y_pred: Any, y_score: Any, options: ArrayOptions) -> GivenRows:
    """Rows that belong together by their position."""
    if options.boxes is not None and not isinstance(options.boxes, str):
        y_true, y_pred = combine_boxes(y_true, y_pred, y_score, options.boxes)
        y_score, options = None, replace(options, boxes=BoxForm.XYXY.value)
    images = _name_images(options.images, count_rows_given("y_true", y_true))
    _check_given(y_true, y_pred, y_score, len(images))
    task = _ask_task(options) or _find_task(y_true, y_pred, options)
    given = _READERS[task](y_true, y_pred, y_score, images, options)
    unnamed = (_UNNAMED,) if options.images is None else ()
    return replace(given, task=task, said=(*given.said, *unnamed))


def _ask_task(options: ArrayOptions) -> Task | None:
    """The task that was asked for."""
    return None if options.task is None else Task(choose("task", options.task, _READERS))


def _find_task(y_true: Any, y_pred: Any, options: ArrayOptions) -> Task:
    """The task that the truth looks like; of boxes, which images may lack, the predictions too."""
    if options.boxes is not None or are_boxes(y_true) or are_boxes(y_pred):
        return Task.DETECTION
    return Task.MULTILABEL if _has_several(y_true) else Task.CLASSIFICATION


def _has_several(y_true: Any) -> bool:
    """Whether an image may have several labels: a matrix, a frame, or lists or sets of labels."""
    shape = getattr(y_true, "shape", None)
    if shape is not None and len(shape) == MATRIX:
        return int(shape[1]) != 1
    if getattr(getattr(y_true, "dtype", None), "kind", "O") in "biufUSM":  # quick for millions
        return False
    return any(isinstance(row, list | tuple | set | frozenset | np.ndarray) for row in y_true)


def _name_images(images: object, n_images: int) -> tuple[str, ...]:
    """The images as they are named, else `0` to `n-1`.

    Raises:
        EvaluationError: Another number of images is named, one twice, or one not at all.
    """
    if images is None:
        return tuple(map(str, range(n_images)))
    given = to_column("images", images).tolist()
    _check_length("images", len(given), n_images)
    if any(is_missing(image) or image == "" for image in given):
        raise EvaluationError("images: an image has no name")
    names = tuple(map(str, given))
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
        raise EvaluationError(
            f"images: {say_first(len(twice), len(names), 'stand there a second time', twice[0])}; "
            "keep one row for each image"
        )
    return names


def _check_given(y_true: Any, y_pred: Any, y_score: Any, n_images: int) -> None:
    """See that there are predictions, of as many images, and of the same ones.

    Raises:
        UsageError: There is neither `y_pred` nor `y_score`.
        EvaluationError: They differ in length, or in the index of their rows.
    """
    if y_pred is None and y_score is None:
        raise UsageError("give what the model said: y_pred (labels) or y_score (confidences)")
    if y_pred is y_true:
        raise UsageError("y_pred is y_true itself: predictions would be right by definition")
    for name, given in (("y_pred", y_pred), ("y_score", y_score)):
        if given is None:
            continue
        n = count_rows_given(name, given)
        if name == "y_pred" or not isinstance(given, list):  # a list may hold an array a label
            _check_length(name, n, n_images)
        _check_index(name, y_true, given)


def _check_length(name: str, n: int, n_images: int) -> None:
    if n != n_images:
        raise EvaluationError(
            f"y_true has {n_images:,} images, {name} {n:,}: they differ in length"
        )


def _check_index(name: str, y_true: Any, given: Any) -> None:
    """Refuse two pandas objects whose rows have other names, or the same in another order.

    An index that only counts says nothing, unless the other one holds the same numbers.
    """
    one: Any = getattr(y_true, "index", None)
    other: Any = getattr(given, "index", None)
    if not (hasattr(one, "equals") and hasattr(other, "equals")) or one.equals(other):
        return
    counted = [list(rows) == list(range(len(rows))) for rows in (one, other)]
    if any(counted) and set(one) != set(other):
        return
    raise EvaluationError(
        f"the rows of y_true and {name} have another index: bring them into one order "
        f"({name}.loc[y_true.index]), or give {name}.to_numpy() if they are already"
    )


def _read_classes(
    y_true: Any, y_pred: Any, y_score: Any, images: tuple[str, ...], options: ArrayOptions
) -> GivenRows:
    """One label for each image."""
    true = _require_all(_read_one_label("y_true", y_true), images)
    pred = [] if y_pred is None else [_read_one_label("y_pred", y_pred)]
    labels = order_given_labels(options.labels, (true, *pred), list_score_names(y_score))
    y_true_codes = labels.place(true)
    truth = GroundTruth(
        task=Task.CLASSIFICATION,
        labels=labels.names,
        images=images,
        truth=LabelSets(
            offsets=np.arange(len(images) + 1), label_idx=y_true_codes.astype(np.int32)
        ),
    )
    codes = labels.place(pred[0]) if pred else np.full(len(images), -1)
    if y_score is None:
        return GivenRows(
            labels=labels, truth=truth, answers=_answer_once(images, labels.names, codes, options)
        )
    scores = read_scores(y_score, len(images), labels)
    answers = _answer_all(images, labels.names, scores)
    return GivenRows(
        labels=labels, truth=truth, answers=answers, said=tuple(_say_wrong(images, codes, scores))
    )


def _read_one_label(name: str, given: Any) -> GivenColumn:
    """A column of labels; of a matrix with one 1 a row the column that it is in.

    Raises:
        EvaluationError: It is no column of labels.
    """
    matrix = find_indicators(name, given) if _has_several(given) else None
    if matrix is None or not np.all(matrix.sum(axis=1) == 1):
        return read_column(name, given)
    values = name_indicators(given, matrix.shape[1], None)
    return GivenColumn(name=name, values=values, code=find_true(matrix)[1])


def _require_all(column: GivenColumn, images: Sequence[str]) -> GivenColumn:
    missing = np.flatnonzero(column.code < 0)
    if len(missing):
        said = say_first(len(missing), len(images), "images have no label", images[missing[0]])
        raise EvaluationError(f"{column.name}: {said}; leave out what nobody has labelled")
    return column


def _answer_once(
    images: tuple[str, ...], labels: tuple[str, ...], codes: IntArray, options: ArrayOptions
) -> Answers:
    """One label of each image without a confidence.

    Raises:
        EvaluationError: Images have none, and nobody said what that means.
    """
    answered = np.flatnonzero(codes >= 0)
    if len(answered) < len(images) and options.unmatched == Unmatched.ERROR:
        first = images[int(np.argmax(codes < 0))]
        said = say_first(len(images) - len(answered), len(images), "images have no label", first)
        raise EvaluationError(
            f"y_pred: {said}; unmatched='miss' counts them as misses, 'drop' leaves them out"
        )
    return Answers(
        images=tuple(images[i] for i in answered),
        labels=labels,
        offsets=np.arange(len(answered) + 1),
        label_idx=codes[answered].astype(np.int32),
        confidence=np.ones(len(answered)),
        is_scored=False,
    )


def _answer_all(images: tuple[str, ...], labels: tuple[str, ...], scores: FloatArray) -> Answers:
    """A confidence of each label on each image; none where the label has no scores (NaN)."""
    has_scores = np.asarray(~np.isnan(scores).any(axis=0))
    lacking = [labels[i] for i in np.flatnonzero(~has_scores)]
    said = (
        f"y_score has no column for {len(lacking)} of {len(labels)} labels: "
        f"{quoted_some(lacking)}: what needs a confidence of every label is left out"
    )
    n_images, codes = len(images), np.flatnonzero(has_scores).astype(np.int32)
    return Answers(
        images=images,
        labels=labels,
        offsets=np.arange(n_images + 1) * len(codes),
        label_idx=np.tile(codes, n_images),
        confidence=scores[:, has_scores].reshape(-1),
        warnings=(said,) if lacking else (),
    )


def _say_wrong(images: Sequence[str], codes: IntArray, scores: FloatArray) -> Iterator[str]:
    """That predicted labels are not those with the highest score."""
    wrong = find_wrong(codes, scores)
    if n_wrong := int(np.count_nonzero(wrong)):
        what = "images y_pred is not the label with the highest y_score, which counts as predicted"
        said = f"of {say_first(n_wrong, len(images), what, images[int(np.argmax(wrong))])}"
        is_most = 2 * n_wrong > len(images)
        yield said + "; are the columns of y_score in the order of the labels?" * is_most


def _read_several(
    y_true: Any, y_pred: Any, y_score: Any, images: tuple[str, ...], options: ArrayOptions
) -> GivenRows:
    """Any number of labels for each image."""
    true = _read_sets("y_true", y_true, options.labels)
    pred = None if y_pred is None else _read_sets("y_pred", y_pred, options.labels)
    if pred is not None and len({len(sets.columns) for sets in (true, pred) if sets.columns}) > 1:
        raise EvaluationError(
            f"y_true has {len(true.columns)} columns, y_pred {len(pred.columns)}: each is a label"
        )
    columns = [sets.column for sets in (true, pred) if sets is not None]
    order = true.columns or (pred.columns if pred else ()) or list_score_names(y_score)
    labels = order_given_labels(options.labels, columns, order)
    truth = GroundTruth(
        task=Task.MULTILABEL,
        labels=labels.names,
        images=images,
        truth=true.place(labels, len(images)),
    )
    sets = None if pred is None else pred.place(labels, len(images))
    if y_score is not None:
        scores = read_scores(y_score, len(images), labels)
        said = () if sets is None else _say_undecided(images, sets, scores, labels, options)
        return GivenRows(
            labels=labels,
            truth=truth,
            answers=_answer_all(images, labels.names, scores),
            said=tuple(said),
        )
    assert sets is not None  # noqa: S101 - `_check_given` saw to it
    answers = Answers(
        images=images,
        labels=labels.names,
        offsets=sets.offsets,
        label_idx=sets.label_idx,
        confidence=np.ones(len(sets.label_idx)),
        is_scored=False,
    )
    return GivenRows(labels=labels, truth=truth, answers=answers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sets:
    """Labels of images: those of image `image_idx` (n,) are in `column`.

    `columns` are all labels of a matrix of 0 and 1, in their order.
    """

    image_idx: IntArray
    column: GivenColumn
    columns: tuple[int | str, ...] = ()

    def place(self, labels: NamedLabels, n_images: int) -> LabelSets:
        return make_label_sets(
            self.image_idx,
            labels.place(self.column),
            n_images=n_images,
            n_labels=len(labels.names),
        )


def _read_sets(name: str, given: Any, labels: GivenLabels) -> _Sets:
    """The labels of each image, of a matrix of 0 and 1, or of lists or sets."""
    matrix = find_indicators(name, given)
    is_list = isinstance(given, list | tuple)
    if matrix is None and getattr(given, "ndim", 1) == MATRIX:
        raise EvaluationError(f"{name}: a matrix of labels holds 0 and 1 alone")
    if matrix is None or (is_list and labels is not None and matrix.shape[1] != len(labels)):
        column, counts = flatten_sets(name, given)
        return _Sets(image_idx=np.repeat(np.arange(len(counts)), counts), column=column)
    columns = name_indicators(given, matrix.shape[1], labels)
    image_idx, code = find_true(matrix)
    column = GivenColumn(name=name, values=columns, code=code)
    return _Sets(image_idx=image_idx, column=column, columns=columns)


def _say_undecided(
    images: Sequence[str],
    sets: LabelSets,
    scores: FloatArray,
    labels: NamedLabels,
    options: ArrayOptions,
) -> Iterator[str]:
    """That predicted labels are not those with a score from their threshold on."""
    given = read_thresholds_given(options.thresholds, labels.names)
    thresholds = np.array([given.get(name, DEFAULT_THRESHOLD) for name in labels.names])
    predicted = np.zeros(scores.shape, dtype=np.bool_)
    predicted[sets.image_idx, sets.label_idx] = True
    wrong = np.any(predicted != (scores >= thresholds), axis=1)
    if n_wrong := int(np.count_nonzero(wrong)):
        what = (
            "images y_pred is not what y_score says at the thresholds, by which labels count as "
            "predicted (`thresholds=`; 0.5 where none is given)"
        )
        yield f"of {say_first(n_wrong, len(images), what, images[int(np.argmax(wrong))])}"


def _read_objects(
    y_true: Any, y_pred: Any, y_score: Any, images: tuple[str, ...], options: ArrayOptions
) -> GivenRows:
    """Boxes on each image."""
    if y_score is not None or y_pred is None:
        raise UsageError("give found boxes as y_pred, each with its score; y_score is for labels")
    form = _find_form(options.boxes)
    true = read_boxes("y_true", y_true, form, are_found=False)
    found = read_boxes("y_pred", y_pred, form, are_found=True)
    labels = order_given_labels(options.labels, (true.column, found.column))
    sizes = _read_sizes(options.image_sizes, len(images))
    boxes = true.place(labels)
    truth = GroundTruth(
        task=Task.DETECTION,
        labels=labels.names,
        images=images,
        truth=_list_labels(boxes, len(labels.names)),
        boxes=boxes,
        image_sizes=sizes,
        normalized=true.are_shares,
    )
    answers = Answers(
        images=images,
        labels=labels.names,
        offsets=np.zeros(len(images) + 1, dtype=np.int64),
        label_idx=np.zeros(0, dtype=np.int32),
        confidence=np.zeros(0),
        is_scored=found.scores is not None or not len(found.corners),
        boxes=_fill(found.place(labels)),
        image_sizes=sizes,
        normalized=found.are_shares if len(found.corners) else true.are_shares,
    )
    return GivenRows(labels=labels, truth=truth, answers=answers)


def _fill(boxes: Boxes) -> Boxes:
    """Found boxes, all as sure as can be where nothing tells how sure they are."""
    return replace(boxes, confidence=np.nan_to_num(boxes.confidence, nan=1.0))


def _find_form(boxes: object) -> BoxForm:
    return BoxForm.XYXY if boxes is None else BoxForm(choose("boxes", boxes, BoxForm))


def _read_sizes(given: object, n_images: int) -> FloatArray:
    """Width and height of each image, (n_images, 2); NaN where nobody says."""
    if given is None:
        return np.full((n_images, 2), np.nan)
    sizes = to_numbers("image_sizes", given)
    if sizes.shape == (2,):
        sizes = np.tile(sizes, (n_images, 1))
    if sizes.shape != (n_images, 2) or np.any(sizes <= 0):
        raise EvaluationError(
            f"image_sizes: has the shape {sizes.shape}; give width and height in pixels, of each "
            f"image ({n_images}, 2), or once for all"
        )
    return sizes


def _list_labels(boxes: Boxes, n_labels: int) -> LabelSets:
    rows = boxes.counted
    return make_label_sets(
        boxes.image_idx[rows],
        boxes.label_idx[rows].astype(np.int64),
        n_images=len(boxes.offsets) - 1,
        n_labels=n_labels,
    )


_READERS: Final = {
    Task.CLASSIFICATION: _read_classes,
    Task.MULTILABEL: _read_several,
    Task.DETECTION: _read_objects,
}
