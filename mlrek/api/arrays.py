"""An evaluation from what a notebook holds: lists, numpy arrays, pandas columns and frames."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np

from mlrek.api.evaluated import EvaluatedVersion, view_evaluation
from mlrek.api.given import choose
from mlrek.api.given_labels import (
    GivenLabels,
    NamedLabels,
    read_column,
    read_thresholds_given,
)
from mlrek.api.given_rows import DEFAULT_PROJECT, ArrayOptions, GivenRows, read_given
from mlrek.api.sliced import GivenValues, read_given_columns
from mlrek.evaluation import (
    Boxes,
    Evaluation,
    SourceFile,
    Version,
)
from mlrek.formats.doubts import complete_doubts
from mlrek.formats.predictions import JoinOptions, Match, Unmatched
from mlrek.formats.predictions.join import join_answers
from mlrek.sources.custom import PREDICTIONS, TRUTH, CustomOptions, name_version


def evaluate(  # noqa: PLR0913 - each is a word of its caller
    y_true: Any,
    y_pred: Any = None,
    *,
    y_score: Any = None,
    labels: GivenLabels = None,
    images: Sequence[object] | None = None,
    boxes: str | tuple[Sequence[Any], Sequence[Any]] | None = None,
    image_sizes: Any = None,
    task: str | None = None,
    thresholds: Any = None,
    pos_label: object = None,
    slices: "GivenValues | None" = None,
    match: str = "uri",
    unmatched: str = "error",
    project: str = DEFAULT_PROJECT,
    version: str = "",
) -> EvaluatedVersion:
    """The evaluation of any model, from its predictions in lists, numpy arrays, pandas or torch.

    >>> import mlrek
    >>> ev = mlrek.evaluate(["cat", "dog", "cat"], ["cat", "dog", "dog"])
    >>> round(ev.metrics["aggregate/accuracy"].value, 3)
    0.667

    **One label an image**: `y_true` and `y_pred` (n,) hold names or numbers, with `labels` also the
    positions of names. **Several labels**: a matrix of 0 and 1 (n, n_labels), a frame of such
    columns, or a list with a list or set of labels for each image. **Boxes**: a list with an entry
    for each image, either as torchvision's `{"boxes": (k, 4), "labels": (k,), "scores": (k,)}` or a
    list of `(label, x1, y1, x2, y2, score)`; true boxes have no score, and may have `iscrowd` and
    `area` in their dict. Rows belong together by their position, as in scikit-learn.

    **Tables**: frames with a column `image`, as `mlrek sync --help-formats` describes such files
    (`label`, `confidence`, `score_<label>`, `x_min`, …): `y_true` and `y_pred`, or one that holds
    both (`truth`, `predicted`). Their rows belong together by the image, in any order.

    Args:
        y_true: What is true of each image.
        y_pred: What the model predicted, in the same form. With `y_score` too, the scores decide
            what is predicted; on how many images `y_pred` says something else is a warning.
        y_score: Its confidences, fractions from 0 to 1: (n, n_labels) with the columns in the order
            of `labels`, as `predict_proba` gives them; a frame whose columns are the labels, in any
            order; (n,) for the second of two labels. Without it numbers that need confidences are
            undefined, with their reason.
        labels: The labels in their order, as `classes_` of a scikit-learn model; or a dict from
            number to name. None: all that occur, sorted, as scikit-learn has them.
        images: A name for each image, all different: what other evaluations of the same images are
            matched by. None: `0` to `n-1`.
        boxes: What four numbers of a box are: `xyxy` (left, top, right, bottom; the default),
            `xywh` (left, top, width, height, as in COCO) or `cxcywh` (centre, width, height, as in
            YOLO); in pixels, or as shares of the image's size where none goes past 1. Or a pair,
            the true boxes (k, 4) of each image and the found ones, `xyxy`: then `y_true` and
            `y_pred` hold their labels and `y_score` the scores, a list for each image.
        image_sizes: Width and height in pixels of each image (n, 2), or of all (2,).
        task: `classification`, `multilabel` or `detection`; None: what `y_true` looks like.
        thresholds: From which confidence a label is predicted, 0 to 1: one for all, one for each in
            the order of `labels`, or a dict by label. Of one label an image only
            `at_threshold/…` reads them; of several labels all that is predicted, with 0.5 where
            none is given.
        pos_label: The positive one of two labels, whose own numbers are then listed too.
        slices: Columns by which the test images are sliced (a site, a camera), a frame or a dict:
            `{"site": values}` with a value for each image in the order of `y_true` (None or NaN for
            none), or by the images' names. Further columns of tables are read without it.
        match: How images of two tables are the same: `uri`, or `name`, that of the file.
        unmatched: What an image without a prediction (None or NaN in `y_pred`, or not in its table)
            means: `error`, `miss` or `drop`.
        project: A name, or the ARN of a project whose version this is, too.
        version: The version's name; '': one made from the content, another for other predictions.

    Returns:
        Numbers with 95 % intervals, tables, figures and the report.

    Raises:
        EvaluationError: What is given contradicts itself: unequal lengths, NaN, unknown labels,
            percent, an image twice, …; the message names the argument and says what to do.
        UsageError: An option is not what it should be, or there is nothing to evaluate.
    """
    options = ArrayOptions(
        labels=labels,
        images=images,
        boxes=boxes,
        image_sizes=image_sizes,
        task=task,
        thresholds=thresholds,
        pos_label=pos_label,
        slices=slices,
        match=match,
        unmatched=unmatched,
        project=project,
        version=version,
    )
    return view_evaluation(build_evaluation(y_true, y_pred, y_score, options))


def build_evaluation(y_true: Any, y_pred: Any, y_score: Any, options: ArrayOptions) -> Evaluation:
    """The evaluation of what a model said of images, each a row of all that is given.

    Raises:
        EvaluationError: What is given contradicts itself, or is not what it should be.
        UsageError: An option is not what it should be, or there is nothing to evaluate.
    """
    given = _add_slices(read_given(y_true, y_pred, y_score, options), options.slices)
    thresholds = read_thresholds_given(options.thresholds, given.labels.names)
    join = JoinOptions(
        task=given.task,
        match=Match(choose("match", options.match, Match)),
        unmatched=Unmatched(choose("unmatched", options.unmatched, Unmatched)),
        thresholds=thresholds,
    )
    files = tuple(_digest(given, thresholds, options))
    answers = replace(given.answers, truth=given.truth)  # so that they may be right everywhere
    evaluation = join_answers(_name_version(options, files), given.truth, answers, join)
    return complete_doubts(
        replace(
            evaluation,
            files=(*files, *_digest_slices(given, options.slices)),
            pos_label=_find_pos_label(options.pos_label, given.labels),
            warnings=(*evaluation.warnings, *given.said),
        )
    )


def _add_slices(given: GivenRows, slices: object) -> GivenRows:
    """With columns of the caller's, which take the place of those of their names."""
    if slices is None:
        return given
    columns = read_given_columns(slices, given.truth.images)
    names = {column.name for column in columns}
    kept = (column for column in given.truth.columns if column.name not in names)
    return replace(given, truth=replace(given.truth, columns=(*kept, *columns)))


def _find_pos_label(given: object, labels: NamedLabels) -> str:
    """The label that stands for the positive one, '' where nobody named it."""
    if given is None:
        return ""
    return labels.names[int(labels.place(read_column("pos_label", [given]))[0])]


def _name_version(options: ArrayOptions, files: Sequence[SourceFile]) -> Version:
    """The version that was named, else one by the content, so that another model is another one."""
    digest = sha256("".join(file.sha256 for file in files).encode()).hexdigest()
    name = str(options.version) or f"model-{digest[:8]}"
    return name_version(CustomOptions(project=str(options.project), version=name))


def _digest(
    given: GivenRows, thresholds: dict[str, float], options: ArrayOptions
) -> Iterator[SourceFile]:
    """What tells this truth and these predictions from others, as files have it."""
    truth, answers = given.truth, given.answers
    columns = (truth.truth.offsets, truth.truth.label_idx, *_list_columns(truth.boxes))
    yield _name_file(TRUTH, "y_true", (truth.images, truth.labels), columns)
    texts = (
        answers.images,
        answers.labels,
        (truth.task, str(options.pos_label), repr(sorted(thresholds.items()))),
    )
    columns = (
        answers.offsets,
        answers.label_idx,
        answers.confidence,
        *_list_columns(answers.boxes),
    )
    yield _name_file(PREDICTIONS, "y_pred", texts, columns)


def _digest_slices(given: GivenRows, slices: object) -> Iterator[SourceFile]:
    """What tells these columns from others: a run with others holds something else."""
    if slices is None:
        return
    columns = given.truth.columns
    texts = [(column.name, *column.values) for column in columns]
    arrays = [column.numbers if column.codes is None else column.codes for column in columns]
    yield _name_file("columns", "slices", texts, [array for array in arrays if array is not None])


def _list_columns(boxes: Boxes | None) -> tuple[np.ndarray[Any, Any], ...]:
    if boxes is None:
        return ()
    return boxes.offsets, boxes.label_idx, boxes.boxes_xyxy, boxes.confidence


def _name_file(
    role: str, uri: str, texts: Sequence[Sequence[str]], columns: Sequence[np.ndarray[Any, Any]]
) -> SourceFile:
    content = repr(texts).encode("utf-8", "surrogatepass")
    parts = [column.astype("<f8", copy=False).tobytes() for column in columns]
    digest = sha256(content)
    for part in parts:
        digest.update(part)
    size = len(content) + sum(map(len, parts))
    return SourceFile(role=role, uri=uri, size=size, sha256=digest.hexdigest())
