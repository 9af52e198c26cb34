"""The rows of a table -> answers of a model, and what is true of its images."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from mlrek.errors import ParseError
from mlrek.evaluation import (
    BoolArray,
    Boxes,
    FloatArray,
    IntArray,
    LabelSets,
    Outcome,
    SliceColumn,
    Task,
)
from mlrek.formats.columns import (
    add_up,
    find_offsets,
    make_label_sets,
    place_labels,
    warn_first,
)
from mlrek.formats.doubts import doubt_unlabelled
from mlrek.formats.files import Files
from mlrek.formats.image_columns import make_numbers
from mlrek.formats.json_text import join_some, quoted, say_first
from mlrek.formats.predictions import Answers
from mlrek.formats.tables.columns import LABELS, Header, Role
from mlrek.formats.tables.further import RowsOfImages
from mlrek.formats.tables.numbers import (
    Confidences,
    TableBoxes,
    find_boxes_of_rows,
    find_thresholds,
    has_boxes,
    scale_confidences,
)
from mlrek.formats.tables.rows import (
    NONE,
    Cells,
    TableRows,
    count_rows_once,
    read_rows,
    say_lacking,
)
from mlrek.formats.truth import GroundTruth

_NUMBERS: Final = frozenset(Role) - {*LABELS, Role.IMAGE_ID, Role.LABEL_ID, Role.BOX}
_SIZES: Final = (Role.IMAGE_WIDTH, Role.IMAGE_HEIGHT)
_ROWS_AT_ONCE: Final = 1 << 20
_RARE: Final = 20
"""One image in so many with several labels may be a slip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """Which columns hold what a model says and what is true; None: none does.

    `is_wide`: an image has one row.
    """

    answer: Role | None
    truth: Role | None
    is_wide: bool
    warnings: tuple[str, ...] = ()


def _find_meaning(header: Header) -> _Meaning:
    """What the columns of labels mean, which depends on the others that are there.

    Raises:
        ValueError: It is open.
    """
    has_label, has_truth, has_predicted = (role in header for role in LABELS)
    if has_label and has_truth and has_predicted:
        names = ", ".join(header.name_of(role) for role in LABELS)
        raise ValueError(f"columns {names} are one too many: keep the truth and the prediction")
    is_wide = bool(header.scores or header.hot) or (has_predicted and (has_label or has_truth))
    if not is_wide:
        if has_label:
            truth = Role.TRUTH if has_truth else None
            return _Meaning(answer=Role.LABEL, truth=truth, is_wide=False)
        if has_predicted:
            return _Meaning(answer=Role.PREDICTED, truth=None, is_wide=False)
        return _Meaning(answer=None, truth=Role.TRUTH if has_truth else None, is_wide=False)
    answer = Role.PREDICTED if has_predicted else None
    if has_label and has_truth:
        return _Meaning(answer=Role.LABEL, truth=Role.TRUTH, is_wide=True)
    if has_label:
        other = header.name_of(Role.PREDICTED) if has_predicted else "the columns of scores"
        said = f"{header.name_of(Role.LABEL)} is read as the truth, as {other} are the predictions"
        return _Meaning(answer=answer, truth=Role.LABEL, is_wide=True, warnings=(said,))
    return _Meaning(answer=answer, truth=Role.TRUTH if has_truth else None, is_wide=True)


def _check_header(rows: TableRows) -> tuple[_Meaning, bool]:
    """What the columns mean, and whether there are boxes.

    Raises:
        ParseError: It cannot be told.
    """
    try:
        meaning, is_boxes = _find_meaning(rows.header), has_boxes(rows.header)
    except ValueError as exc:
        raise ParseError(rows.uri, 0, str(exc)) from exc
    if is_boxes and (meaning.is_wide or (meaning.truth and meaning.answer)):
        reason = "has boxes and several columns of labels; write truth and predictions apart, "
        raise ParseError(rows.uri, 0, f"{reason}a row for each box")
    return meaning, is_boxes


# ---- answers --------------------------------------------------------------------------------


def read_answers(files: Files) -> Answers:
    """What a table says that a model answered; see `read_table_answers`."""
    rows = read_rows(files, {*LABELS, *_NUMBERS}, scores=True, hot=True)
    meaning, is_boxes = _check_header(rows)
    if meaning.answer is None and rows.scores is None:
        raise ParseError(rows.uri, 0, _say_no_answers(rows.header))
    said: tuple[str, ...] = ()
    if meaning.is_wide:
        rows, said = count_rows_once(rows)
    answers = (
        _build_scores(rows, meaning)
        if rows.scores is not None
        else _build_boxes(rows, meaning)
        if is_boxes
        else _build_long(rows, meaning)
    )
    has_truth = meaning.truth is not None or rows.hot is not None
    truth = _build_truth(rows, meaning.truth, agrees=True) if has_truth else None
    return replace(
        answers,
        truth=truth,
        columns=_list_columns(rows, is_boxes=is_boxes),
        warnings=(*rows.warnings, *meaning.warnings, *said, *_warn_labels(rows), *answers.warnings),
    )


def _say_no_answers(header: Header) -> str:
    if Role.TRUTH in header or header.hot:
        name = header.name_of(Role.TRUTH) if Role.TRUTH in header else "columns `truth_<label>`"
        return (
            f"holds the truth ({name}), but no predictions: needed is a column `label`, "
            "`predicted` or `score_<label>`"
        )
    return say_lacking(header)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """The labels that a table gives to images: of each its row, image and code; all (n,).

    `row_idx` None: each row has one.
    """

    row_idx: IntArray | None
    image_idx: IntArray
    code: IntArray
    confidence: FloatArray

    def find_row(self, place: int) -> int:
        """The row of one of them."""
        return place if self.row_idx is None else int(self.row_idx[place])

    def find_rows(self) -> IntArray:
        """The rows of all."""
        return np.arange(len(self.code)) if self.row_idx is None else self.row_idx

    def select(self, kept: IntArray | BoolArray) -> "_Labelled":
        """Some of them."""
        places: IntArray = np.flatnonzero(kept) if kept.dtype == np.bool_ else np.asarray(kept)
        return _Labelled(
            row_idx=places if self.row_idx is None else self.row_idx[kept],
            image_idx=self.image_idx[kept],
            code=self.code[kept],
            confidence=self.confidence[kept],
        )


def _list_labelled(rows: TableRows, role: Role) -> tuple[_Labelled, tuple[str, ...]]:
    """The labels in a column with their confidences as fractions, image by image in file order.

    Raises:
        ParseError: A label has no confidence, or a confidence no label.
    """
    cells = rows.cells[role]
    given = rows.numbers.get(Role.CONFIDENCE)
    confidence = _spread_confidences(rows, cells, given)
    found = _Labelled(
        row_idx=None if cells.counts is None else cells.row_idx,
        image_idx=cells.spread(rows.image_idx),
        code=cells.codes,
        confidence=confidence,
    )
    warnings: tuple[str, ...] = ()
    if given is not None:
        _check_complete(rows, found)
    if np.any(found.code == NONE):
        found = found.select(found.code != NONE)
    if given is not None:
        scaled, warnings = scale_confidences(
            Confidences(
                rows=rows,
                name=rows.header.name_of(Role.CONFIDENCE),
                values=found.confidence,
                find_row=found.find_row,
                find_highest=partial(_find_highest, rows, found),
            )
        )
        found = replace(found, confidence=scaled)
    return _order_labelled(found), warnings


def _order_labelled(found: _Labelled) -> _Labelled:
    """The labels without empty cells, image by image in file order; mostly they are so already."""
    if np.any(found.code == NONE):
        found = found.select(found.code != NONE)
    if np.any(found.image_idx[1:] < found.image_idx[:-1]):
        found = found.select(np.argsort(found.image_idx, kind="stable"))
    return found


def _find_highest(rows: TableRows, found: _Labelled) -> FloatArray:
    highest = np.zeros(len(rows.images))
    np.maximum.at(highest, found.image_idx, found.confidence)
    return highest


def _spread_confidences(rows: TableRows, cells: Cells, given: FloatArray | None) -> FloatArray:
    """A confidence for each label, where a cell may hold several of both; 1 without any."""
    if given is None:
        return np.ones(len(cells.codes))
    lengths = rows.confidence_counts
    if lengths is not None:
        counts = np.ones(len(lengths)) if cells.counts is None else cells.counts
        if np.any(differs := counts != lengths):
            said = "has a list of confidences of another length than its labels"
            raise rows.refuse(int(np.argmax(differs)), said)
        return given
    return np.asarray(cells.spread(given))


def _check_complete(rows: TableRows, found: _Labelled) -> None:
    is_empty, has_none = found.code == NONE, np.isnan(found.confidence)
    if not np.any(is_empty != has_none):
        return
    place = int(np.argmax(is_empty != has_none))
    row, name = found.find_row(place), rows.header.name_of(Role.CONFIDENCE)
    if has_none[place]:
        raise rows.refuse(row, f"{name} is empty or NaN, which is not 0: give a number")
    raise rows.refuse(row, f"has a confidence ({found.confidence[place]:g}), but no label")


def _build_long(rows: TableRows, meaning: _Meaning) -> Answers:
    role = meaning.answer
    assert role is not None  # noqa: S101 - for the type checker: `read_answers` saw to it
    found, warnings = _list_labelled(rows, role)
    n_images, regular = len(rows.images), _find_regular(rows, found)
    repeated: tuple[str, ...] = ()
    if regular is not None:
        offsets: IntArray = len(regular) * np.arange(n_images + 1)
        labels, codes = _sort_labels(rows, regular)
        label_idx = np.tile(codes[regular], n_images)
    else:
        found, repeated = _count_labels_once(rows, found)
        labels, codes = _sort_labels(rows, found.code)
        offsets, label_idx = find_offsets(found.image_idx, n_images), codes[found.code]
    thresholds, said = _find_label_thresholds(rows, role, labels, codes)
    counts = np.diff(offsets)
    is_told = _find_told(rows, rows.cells[role], counts)
    return Answers(
        images=rows.images,
        labels=labels,
        offsets=offsets,
        label_idx=label_idx,
        confidence=found.confidence,
        is_scored=Role.CONFIDENCE in rows.header,
        predicted=_find_predicted(rows, role, codes) if meaning.is_wide else None,
        thresholds=thresholds,
        is_answered=is_told,
        warnings=(*warnings, *repeated, *said, *_warn_none(rows, counts, is_told)),
    )


def _find_told(rows: TableRows, cells: Cells, counts: IntArray) -> BoolArray | None:
    """The images of which a column says something: a label, or a list without any; None: all.

    Args:
        rows: All rows.
        cells: The column.
        counts: The labels of each image in it, (n_images,).
    """
    is_told: BoolArray = counts > 0
    if is_told.all():
        return None
    is_told[rows.image_idx[cells.empty_lists]] = True
    return is_told


def _warn_none(rows: TableRows, counts: IntArray, is_told: BoolArray | None) -> Iterator[str]:
    if is_told is not None:
        has_none = is_told & (counts == 0)
        yield from warn_first(rows.images, has_none, "images are predicted to have no label")


def _find_regular(rows: TableRows, found: _Labelled) -> IntArray | None:
    """The codes of the labels of each image, where all have the same ones in one order.

    So most tables of confidences are, and no row has to be looked at by itself.
    """
    n_images = len(rows.images)
    n_each, rest = divmod(len(found.code), n_images)
    codes = found.code[:n_each]
    if rest or len(np.unique(codes)) < max(n_each, 1):
        return None
    images, places = found.image_idx.reshape(n_images, n_each), np.arange(n_images)
    belong = np.array_equal(images[:, 0], places) and np.array_equal(images[:, -1], places)
    return codes if belong and np.all(found.code.reshape(n_images, n_each) == codes) else None


def _first_codes(cells: Cells, codes: IntArray) -> IntArray | None:
    """The label of each row, where each has one at most."""
    return None if cells.counts is not None else np.append(codes, NONE)[cells.codes]


def _find_predicted(rows: TableRows, role: Role, codes: IntArray) -> IntArray | None:
    """The label of each image that a column names, where each has one at most."""
    by_row = _first_codes(rows.cells[role], codes)
    if by_row is None:
        return None
    predicted = np.full(len(rows.images), NONE, dtype=np.int64)
    predicted[rows.image_idx] = by_row
    return predicted


def _find_label_thresholds(
    rows: TableRows, role: Role | None, labels: Sequence[str], codes: IntArray
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The thresholds of the table by label; `codes` are the new codes of old ones."""
    if Role.THRESHOLD not in rows.numbers:
        return {}, ()
    by_row = None if role is None else _first_codes(rows.cells[role], codes)
    found, said = find_thresholds(rows, by_row, len(labels))
    named = zip(labels, found.tolist(), strict=True)
    return {label: value for label, value in named if not np.isnan(value)}, said


def _count_labels_once(rows: TableRows, found: _Labelled) -> tuple[_Labelled, tuple[str, ...]]:
    """Each label of an image once.

    Raises:
        ParseError: An image has a label with two confidences.
    """
    if not _has_repeats(rows, found):
        return found, ()
    keys = found.image_idx.astype(np.int64) * max(len(rows.labels), 1) + found.code
    order = np.argsort(keys, kind="stable")
    is_again = np.diff(keys[order], prepend=-1) == 0
    first = np.flatnonzero(~is_again)[np.cumsum(~is_again) - 1]
    again, before = order[is_again], order[first[is_again]]
    differs = found.confidence[again] != found.confidence[before]
    if differs.any():
        place = int(np.argmax(differs))
        one, other = int(again[place]), int(before[place])
        earlier = rows.name_row(found.find_row(other))
        raise rows.refuse(
            found.find_row(one),
            f"gives label {quoted(rows.labels[found.code[one]])} confidence "
            f"{found.confidence[one]:g}, but {earlier} gives it {found.confidence[other]:g}; keep "
            "one of them",
        )
    image = rows.images[found.image_idx[again[0]]]
    said = say_first(len(again), len(keys), "rows are there twice and count once", image)
    return found.select(np.sort(order[~is_again])), (said,)


def _has_repeats(rows: TableRows, found: _Labelled) -> bool:
    """Whether a label is there twice on an image; whole images at a time, to save memory."""
    images, n = found.image_idx, len(found.code)
    for end in range(_ROWS_AT_ONCE, n + _ROWS_AT_ONCE, _ROWS_AT_ONCE):
        begin = int(np.searchsorted(images, images[end - _ROWS_AT_ONCE]))
        keys = images[begin:end].astype(np.int64) * len(rows.labels) + found.code[begin:end]
        if np.all(keys[1:] > keys[:-1]):
            continue
        keys.sort()
        if np.any(keys[1:] == keys[:-1]):
            return True
    return False


# ---- scores ---------------------------------------------------------------------------------


def _build_scores(rows: TableRows, meaning: _Meaning) -> Answers:
    """Of columns of scores: complete records, in the order of the columns."""
    assert rows.scores is not None  # noqa: S101 - for the type checker
    scores = rows.scores
    names = tuple(rows.header.scores)
    missing = np.isnan(scores)
    is_unanswered = np.asarray(missing.all(axis=1))
    if np.any(partly := missing.any(axis=1) & ~is_unanswered):
        row = int(np.argmax(partly))
        column = rows.header.names[[*rows.header.scores.values()][int(np.argmax(missing[row]))]]
        raise rows.refuse(row, f"{quoted(column)} is empty or NaN, which is not 0: give a number")
    answered = np.flatnonzero(~is_unanswered)
    confidence, scaled = scale_confidences(
        Confidences(
            rows=rows,
            name="a score",
            values=(scores[answered] if is_unanswered.any() else scores).ravel(),
            find_row=lambda place: int(answered[place // len(names)]),
            find_highest=lambda: np.nan_to_num(scores).max(axis=1),
        )
    )
    labels, predicted = names, None
    if meaning.answer is not None:
        used = _list_used(rows, meaning.answer)
        labels = (*names, *(label for label in used if label not in names))
        predicted = _find_predicted(rows, meaning.answer, place_labels(rows.labels, labels))
    codes = place_labels(rows.labels, labels)
    thresholds, said = _find_label_thresholds(rows, meaning.answer, labels, codes)
    if Role.CONFIDENCE in rows.header:
        name = rows.header.name_of(Role.CONFIDENCE)
        said = (*said, f"{name} is passed over, as each label has a column of scores")
    return Answers(
        images=rows.images,
        labels=labels,
        offsets=add_up(np.where(is_unanswered, 0, len(names))),
        label_idx=np.tile(np.arange(len(names), dtype=np.int32), len(answered)),
        confidence=confidence,
        predicted=predicted,
        thresholds=thresholds,
        is_answered=~is_unanswered if is_unanswered.any() else None,
        warnings=(*scaled, *said),
    )


def _list_used(rows: TableRows, role: Role) -> list[str]:
    """The labels that a column names, in label order."""
    codes = rows.cells[role].codes
    return sort_names([rows.labels[code] for code in np.unique(codes[codes != NONE])])


# ---- boxes ----------------------------------------------------------------------------------


def _build_boxes(rows: TableRows, meaning: _Meaning) -> Answers:
    role = meaning.answer
    assert role is not None  # noqa: S101 - for the type checker: `read_answers` saw to it
    found, warnings = _list_labelled(rows, role)
    boxes = find_boxes_of_rows(rows)
    _check_boxed(rows, found, boxes)
    labels, codes = _sort_labels(rows, found.code)
    thresholds, said = _find_label_thresholds(rows, role, labels, codes)
    corners = boxes.boxes_xyxy[found.find_rows()]
    return Answers(
        images=rows.images,
        labels=labels,
        offsets=np.zeros(len(rows.images) + 1, dtype=np.int64),
        label_idx=np.zeros(0, dtype=np.int32),
        confidence=np.zeros(0),
        is_scored=Role.CONFIDENCE in rows.header,
        boxes=_make_boxes(rows, found, codes, corners),
        image_sizes=boxes.image_sizes,
        normalized=boxes.normalized,
        thresholds=thresholds,
        warnings=(
            *warnings,
            *boxes.warnings,
            *_check_repeated(rows, found, corners),
            *said,
        ),
    )


def _make_boxes(rows: TableRows, found: _Labelled, codes: IntArray, corners: FloatArray) -> Boxes:
    return Boxes(
        offsets=find_offsets(found.image_idx, len(rows.images)),
        label_idx=codes[found.code],
        boxes_xyxy=corners,
        confidence=found.confidence,
        outcome=np.full(len(corners), Outcome.UNKNOWN, dtype=np.uint8),
    )


def _check_boxed(rows: TableRows, found: _Labelled, boxes: TableBoxes) -> None:
    has_none = np.isnan(boxes.boxes_xyxy[:, 0])
    row_idx = found.find_rows()
    if np.any(bare := has_none[row_idx]):
        raise rows.refuse(int(row_idx[int(np.argmax(bare))]), "has a label, but no box")
    is_bare = ~has_none
    is_bare[row_idx] = False
    if is_bare.any():
        raise rows.refuse(int(np.argmax(is_bare)), "has a box, but no label")


def _check_repeated(rows: TableRows, found: _Labelled, corners: FloatArray) -> Iterator[str]:
    """Yield that equal boxes are there several times.

    Raises:
        ParseError: Half of them or more are: a file that holds everything twice.
    """
    numbers = np.column_stack([found.image_idx, found.code, corners, found.confidence])
    order = np.lexsort(numbers.T)
    ordered = numbers[order]
    same = (ordered[1:] == ordered[:-1]) | (np.isnan(ordered[1:]) & np.isnan(ordered[:-1]))
    again = order[1:][same.all(axis=1)]
    if not len(again):
        return
    what = "rows repeat a box with all its numbers"
    said = say_first(len(again), len(numbers), what, rows.images[found.image_idx[again.min()]])
    if 2 * len(again) >= len(numbers):
        raise ParseError(rows.uri, 0, f"{said}: does the file hold everything twice?")
    yield f"{said}; each counts as a box of its own"


def _list_columns(rows: TableRows, *, is_boxes: bool) -> tuple[SliceColumn, ...]:
    """What further columns say of images, with their sizes where there are no boxes to tell them.

    A size that is not the same in all rows of an image is none.
    """
    sizes = []
    of_images = RowsOfImages.of(rows.image_idx, len(rows.images))
    for role in () if is_boxes else (*_SIZES, Role.WIDTH, Role.HEIGHT):
        if role in rows.numbers:
            numbers, bad = of_images.settle(rows.numbers[role], np.nan)
            column = make_numbers(rows.header.names[rows.header.roles[role]], numbers)
            sizes += [column] if column and bad < 0 else []
    return (*sizes, *rows.columns)


# ---- truth ----------------------------------------------------------------------------------


def read_truth(files: Files) -> GroundTruth:
    """What a table says is true; see `read_table_truth`."""
    rows = read_rows(files, {*LABELS, *_NUMBERS} - {Role.THRESHOLD}, scores=False, hot=True)
    meaning, is_boxes = _check_header(rows)
    role = meaning.truth or (None if meaning.is_wide else meaning.answer)
    if role is Role.PREDICTED or (role is None and rows.hot is None):
        raise ParseError(rows.uri, 0, _say_no_truth(rows.header))
    holds_answers = meaning.truth is not None and (meaning.answer is not None or rows.header.scores)
    if not holds_answers:
        _check_sure(rows)
    agrees, said = bool(holds_answers) or rows.hot is not None, tuple[str, ...]()
    if agrees and meaning.is_wide:
        rows, said = count_rows_once(rows)
    passed = ("the predictions of the table are passed over: only its truth is read",)
    columns = _list_columns(rows, is_boxes=is_boxes)
    truth = _build_truth(rows, role, agrees=agrees, columns=columns)
    if not len(truth.images):
        name = rows.header.name_of(role) if role is not None else "truth"
        raise ParseError(rows.uri, 0, f"holds no labelled image: {name} is blank in every row")
    return replace(
        truth,
        warnings=(
            *rows.warnings,
            *(passed if holds_answers else ()),
            *said,
            *_warn_labels(rows),
            *truth.warnings,
        ),
    )


def _check_sure(rows: TableRows) -> None:
    """Refuse predictions; people that label may say that they are sure, by 1."""
    if np.any(np.nan_to_num(rows.numbers.get(Role.CONFIDENCE, np.ones(0)), nan=1) != 1):
        raise ParseError(
            rows.uri,
            0,
            f"has confidences ({rows.header.name_of(Role.CONFIDENCE)}): these are predictions, not "
            "truth; name the column of the truth `truth`, or leave the confidences out",
        )


def _say_no_truth(header: Header) -> str:
    if Role.PREDICTED in header or header.scores:
        return "holds predictions, but no truth: needed is a column `truth` (or `label`)"
    return say_lacking(header)


def _build_truth(
    rows: TableRows, role: Role | None, *, agrees: bool, columns: tuple[SliceColumn, ...] = ()
) -> GroundTruth:
    """What is true of the images, without those of which nobody says it.

    Args:
        rows: All rows.
        role: The column of true labels; None: columns of 1 and 0, one a label.
        agrees: Further rows of an image must say the same as the first.
        columns: What further ones say of each image.
    """
    if role is None:
        return _build_hot(rows, columns)
    cells = rows.cells[role]
    if agrees and cells.counts is None:
        _check_agrees(rows, cells.codes)
    found = _Labelled(
        row_idx=None if cells.counts is None else cells.row_idx,
        image_idx=cells.spread(rows.image_idx),
        code=cells.codes,
        confidence=np.full(len(cells.codes), np.nan),
    )
    found = _order_labelled(found)
    labels, codes = _sort_labels(rows, found.code)
    sets = make_label_sets(
        found.image_idx.astype(np.int64),
        codes[found.code].astype(np.int64),
        n_images=len(rows.images),
        n_labels=len(labels),
    )
    if has_boxes(rows.header):
        return _build_true_boxes(rows, found, labels, codes, sets, columns)
    n_again = len(found.code) - len(sets.label_idx)
    is_several = cells.counts is not None or bool(np.any(sets.counts > 1))
    is_told = _find_told(rows, cells, sets.counts)
    truth = GroundTruth(
        task=Task.MULTILABEL if is_several else Task.CLASSIFICATION,
        labels=labels,
        images=rows.images,
        truth=sets,
        columns=columns,
        warnings=(
            *_warn_again(rows, found, n_again, agrees=agrees),
            *_warn_sets(rows, sets, is_told),
        ),
    )
    return truth if is_told is None else leave_unknown(truth, is_told)


def leave_unknown(truth: GroundTruth, is_told: BoolArray) -> GroundTruth:
    """The truth without images of which nobody tells it, (n_images,), and a doubt that counts them.

    No such image has a label.
    """
    if is_told.all():
        return truth
    unknown, kept = (np.flatnonzero(told) for told in (~is_told, is_told))
    named = [truth.images[i] for i in unknown.tolist()]
    return replace(
        truth,
        images=tuple(truth.images[i] for i in kept.tolist()),
        truth=LabelSets(offsets=add_up(truth.truth.counts[kept]), label_idx=truth.truth.label_idx),
        columns=tuple(column.take(kept) for column in truth.columns),
        unlabelled=truth.unlabelled | frozenset(named),
        doubts=(*truth.doubts, *doubt_unlabelled(named, len(truth.images))),
    )


def _build_hot(rows: TableRows, columns: tuple[SliceColumn, ...]) -> GroundTruth:
    assert rows.hot is not None  # noqa: S101 - for the type checker
    row_idx, code = np.nonzero(rows.hot)
    labels = tuple(rows.header.hot)
    sets = make_label_sets(
        rows.image_idx[row_idx].astype(np.int64),
        code,
        n_images=len(rows.images),
        n_labels=len(labels),
    )
    return GroundTruth(
        task=Task.CLASSIFICATION if np.all(sets.counts == 1) else Task.MULTILABEL,
        labels=labels,
        images=rows.images,
        truth=sets,
        columns=columns,
        warnings=tuple(_warn_sets(rows, sets)),
    )


def _build_true_boxes(
    rows: TableRows,
    found: _Labelled,
    labels: tuple[str, ...],
    codes: IntArray,
    sets: LabelSets,
    columns: tuple[SliceColumn, ...],
) -> GroundTruth:
    boxes = find_boxes_of_rows(rows)
    _check_boxed(rows, found, boxes)
    corners = boxes.boxes_xyxy[found.find_rows()]
    return GroundTruth(
        task=Task.DETECTION,
        labels=labels,
        images=rows.images,
        truth=sets,
        boxes=_make_boxes(rows, found, codes, corners),
        image_sizes=boxes.image_sizes,
        normalized=boxes.normalized,
        columns=columns,
        warnings=(*boxes.warnings, *_check_repeated(rows, found, corners)),
    )


def _check_agrees(rows: TableRows, codes: IntArray) -> None:
    """Refuse a table that gives an image two truths."""
    first = np.zeros(len(rows.images), dtype=np.int64)
    first[rows.image_idx[::-1]] = np.arange(len(codes))[::-1]
    differs = codes != codes[first[rows.image_idx]]
    if differs.any():
        row = int(np.argmax(differs))
        earlier = int(first[rows.image_idx[row]])
        one, other = (quoted(_name(rows, codes[i])) for i in (row, earlier))
        raise rows.refuse(row, f"its truth is {one}, but {other} in {rows.name_row(earlier)}")


def _name(rows: TableRows, code: int) -> str:
    return "" if code == NONE else rows.labels[code]


def _warn_again(rows: TableRows, found: _Labelled, n_again: int, *, agrees: bool) -> Iterator[str]:
    if not n_again or agrees:
        return
    keys = found.image_idx.astype(np.int64) * max(len(rows.labels), 1) + found.code
    order = np.argsort(keys, kind="stable")
    again = order[np.diff(keys[order], prepend=-1) == 0]
    image = rows.images[found.image_idx[again.min()]]
    yield say_first(n_again, len(keys), "rows are there twice and count once", image)


def _warn_sets(rows: TableRows, sets: LabelSets, is_told: BoolArray | None = None) -> Iterator[str]:
    """Yield how many images have no label, and how many have several where these are few."""
    has_none, has_several = sets.counts == 0, sets.counts > 1
    if is_told is not None:
        has_none &= is_told
    yield from warn_first(rows.images, has_none, "images are labelled as having no label")
    if _count(has_several) * _RARE < len(rows.images):
        yield from warn_first(rows.images, has_several, "images have several labels: all count")


# ---- labels ---------------------------------------------------------------------------------


def _count(found: BoolArray) -> int:
    return int(np.count_nonzero(found))


def _sort_labels(rows: TableRows, used: IntArray) -> tuple[tuple[str, ...], IntArray]:
    """The labels that are used, in order, and the new code of each old one (-1: unused)."""
    occurs = np.zeros(len(rows.labels), dtype=np.bool_)
    occurs[used] = True
    labels = sort_names([rows.labels[code] for code in np.flatnonzero(occurs)])
    return tuple(labels), place_labels(rows.labels, labels).astype(np.int32)


def sort_names(labels: Sequence[str]) -> list[str]:
    """Labels in alphabetical order; whole numbers by their value.

    >>> sort_names(["10", "9"]), sort_names(["b", "10", "9"])
    (['9', '10'], ['10', '9', 'b'])
    """
    if all(label.isascii() and label.lstrip("-").isdigit() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def _warn_labels(rows: TableRows) -> Iterator[str]:
    """Yield which labels of the table may be meant otherwise than they are written."""
    labels = (*rows.labels, *rows.header.scores, *rows.header.hot)
    yield from warn_alike(dict.fromkeys(labels))
    if labels and {label.casefold() for label in rows.labels} <= {"true", "false"} and rows.labels:
        yield "the labels are the truth values `True` and `False`, taken as names of labels"
    known = set(rows.labels)
    joined = [label for label in rows.labels if "|" in label and known >= set(label.split("|"))]
    if joined:
        yield (
            f"{len(joined)} labels look like several joined by `|` and are taken as one label each:"
            f" {quoted(joined[0])}; write lists where several are meant"
        )


def warn_alike(labels: Sequence[str] | dict[str, None]) -> Iterator[str]:
    """Yield which labels differ in case or blanks alone; they are told apart."""
    spellings = defaultdict(list)
    for label in labels:
        spellings["".join(label.split()).casefold()].append(label)
    alike = [" and ".join(map(quoted, names)) for names in spellings.values() if len(names) > 1]
    if alike:
        yield f"labels that differ in case or blanks only are told apart: {join_some(alike)}"
