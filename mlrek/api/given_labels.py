"""Labels and scores as notebooks hold them: lists, numpy arrays, pandas columns -> codes."""

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.formats.json_text import quoted, quoted_some

LabelValue: TypeAlias = int | str
GivenLabels: TypeAlias = Sequence[object] | Mapping[Any, str] | None

SCORE_PREFIX: Final = "score_"
"""Begins the name of a column of scores; its label follows."""

MATRIX: Final = 2
"""The dimensions of what has a row for each image and a column for each label."""

_TWO: Final = 2  # labels, of which one probability tells the other
_ROUNDING: Final = 1e-6  # of 32-bit numbers
_MOST_PERCENT: Final = 100 * (1 + _ROUNDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenColumn:
    """Labels as they are given: `code` (n,) are positions in `values`, the distinct ones; -1: none.

    `name` is the parameter that they are given by.
    """

    name: str
    values: tuple[LabelValue, ...]
    code: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLabels:
    """The labels in their order, and what stands for each; `by_position`: so do numbers from 0."""

    names: tuple[str, ...]
    places: Mapping[LabelValue, int]
    by_position: bool

    def place(self, column: GivenColumn) -> IntArray:
        """The position in `names` of each label of a column, -1 where it has none, (n,).

        Raises:
            EvaluationError: It is none of the labels.
        """
        places = [self.places.get(v, self.places.get(str(v), -1)) for v in column.values]
        if self.by_position and -1 in places and _are_numbers(column.values):
            n = len(self.names)
            places = [int(value) if 0 <= int(value) < n else -1 for value in column.values]
        unknown = [v for v, place in zip(column.values, places, strict=True) if place < 0]
        if unknown:
            raise EvaluationError(
                f"{column.name}: {len(unknown)} of its labels are none of `labels`: "
                f"{quoted_some(unknown)}; there are {quoted_some(self.names)}"
            )
        return np.append(places, -1)[column.code].astype(np.int64)


def read_column(name: str, given: object) -> GivenColumn:
    """One label for each image, of the parameter `name`.

    Names, whole numbers or booleans, not several kinds; None and NaN are no label.

    Raises:
        EvaluationError: It is something else.
    """
    array = to_column(name, given)
    found, code = _find_distinct(name, array)
    values = tuple(_name_value(name, value) for value in found)
    if len({isinstance(value, str) for value in values}) > 1:
        first = [next(v for v in values if isinstance(v, str) is text) for text in (True, False)]
        raise EvaluationError(
            f"{name}: holds names and numbers, as {quoted(first[0])} and {quoted(first[1])}: "
            "give labels of one kind"
        )
    return GivenColumn(name=name, values=values, code=code)


def to_column(name: str, given: object) -> NDArray[Any]:
    """What is given for each image, (n,); a column of one keeps no second dimension.

    Raises:
        EvaluationError: It is no column.
    """
    array = to_array(name, given)
    if array.ndim == MATRIX and array.shape[1] == 1:  # as frames of one column are
        array = array[:, 0]
    if array.ndim != 1:
        raise EvaluationError(
            f"{name}: has the shape {array.shape}, not one label for each image: (n,)"
        )
    return array


def to_array(name: str, given: object) -> NDArray[Any]:
    """Numbers and texts as they are, whatever holds them; lists become arrays of their items.

    Raises:
        EvaluationError: It holds nothing.
    """
    for method in ("detach", "cpu", "toarray", "to_numpy"):  # of torch, scipy, pandas
        if hasattr(type(given), method):
            given = getattr(given, method)()
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise EvaluationError(f"{name}: is {quoted(given)}, not a list, an array or a column")
    if hasattr(given, "__array__"):
        return np.asarray(given)
    items = list(given)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def count_rows_given(name: str, given: object) -> int:
    """How many images there are.

    Raises:
        EvaluationError: It is no list of anything, or empty.
    """
    if not isinstance(given, Sized) or isinstance(given, str | bytes | Mapping):
        raise EvaluationError(f"{name}: is {quoted(given)}, not a list, an array or a column")
    shape = getattr(given, "shape", None)  # a sparse matrix has no length
    n = int(shape[0]) if shape else len(given)
    if not n:
        raise EvaluationError(f"{name}: is empty: there is not one image")
    return n


def order_given_labels(
    given: GivenLabels, columns: Sequence[GivenColumn], score_names: Sequence[LabelValue] = ()
) -> NamedLabels:
    """The labels as they are given, else those of the scores' columns, else all, sorted.

    Raises:
        EvaluationError: A label stands twice, or names and numbers have to be told which is which.
    """
    if given is None:
        return _collect_labels(columns, score_names)
    if isinstance(given, Mapping):
        values, names = list(given), [str(name) for name in given.values()]
    else:
        values = [_name_value("labels", value) for value in to_column("labels", given).tolist()]
        names = [str(value) for value in values]
    _check_distinct(names)
    places: dict[LabelValue, int] = {name: i for i, name in enumerate(names)}
    places |= {_name_value("labels", value): i for i, value in enumerate(values)}
    by_position = all(isinstance(value, str) for value in values)
    return NamedLabels(names=tuple(names), places=places, by_position=by_position)


def read_scores(given: object, n_images: int, labels: NamedLabels) -> FloatArray:
    """Confidences, (n_images, n_labels), from 0 to 1; NaN of labels that a frame has no column for.

    A frame names the label of each column, in any order; one number for each image is that of the
    second of two labels.

    Raises:
        EvaluationError: They have another shape, are no numbers, or not from 0 to 1.
    """
    n_labels = len(labels.names)
    if names := list_score_names(given):
        return _read_named_scores(given, names, labels)
    scores = to_numbers("y_score", given)
    if scores.shape == (n_labels, n_images, _TWO):  # one classifier a label
        scores = scores[:, :, 1].T
    if scores.ndim == MATRIX and scores.shape[1] == 1 and n_labels != 1:
        scores = scores[:, 0]
    check_scores("y_score", scores)
    if scores.ndim == 1 and len(scores) == n_images and n_labels == _TWO:
        scores = np.stack([1 - scores, scores], axis=1)
    if scores.shape != (n_images, n_labels):
        raise EvaluationError(
            f"y_score: has the shape {scores.shape}, but there are {n_images} images and "
            f"{n_labels} labels ({quoted_some(labels.names)}): give a column for each label, in "
            "their order (`labels=[…]` says which)"
        )
    return np.minimum(scores, 1.0)


def list_score_names(given: object) -> tuple[LabelValue, ...]:
    """The labels that the columns of a frame of scores are named by; none of anything else."""
    columns = list(getattr(given, "columns", ()))
    if columns == list(range(len(columns))):  # named by nobody
        return ()
    if len(columns) == 1 and not str(columns[0]).startswith(SCORE_PREFIX):  # of two labels
        return ()
    named = [isinstance(c, str) and c.startswith(SCORE_PREFIX) for c in columns]
    if columns and all(named):
        return tuple(str(c)[len(SCORE_PREFIX) :] for c in columns)
    return tuple(_name_value("y_score", column) for column in columns)


def to_numbers(name: str, given: object) -> FloatArray:
    """Finite numbers of any shape.

    Raises:
        EvaluationError: They are something else, or of rows that differ in length.
    """
    array = to_array(name, given)
    try:
        if array.dtype == object:
            array = np.array([to_array(name, row) if _is_row(row) else row for row in array])
        numbers = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise EvaluationError(f"{name}: not everything in it is a number ({exc})") from exc
    if n_wrong := np.count_nonzero(~np.isfinite(numbers)):
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise EvaluationError(
            f"{name}: {n_wrong} of {numbers.size} numbers are NaN or infinite; the first is at "
            f"{place[0] if len(place) == 1 else place}"
        )
    return numbers


def check_scores(name: str, scores: FloatArray) -> None:
    """See that all are from 0 to 1, a little more for rounding.

    Raises:
        EvaluationError: They are percent, or no probabilities.
    """
    low, high = float(scores.min(initial=0)), float(scores.max(initial=0))
    if low >= 0 and high <= 1 + _ROUNDING:
        return
    if low >= 0 and high <= _MOST_PERCENT:
        raise EvaluationError(
            f"{name}: goes up to {high:g}: confidences are fractions from 0 to 1; if these are "
            "percent, divide them by 100"
        )
    raise EvaluationError(
        f"{name}: goes from {low:g} to {high:g}: confidences are from 0 to 1; make probabilities "
        "of such values first (softmax, of several labels sigmoid)"
    )


def find_indicators(name: str, given: object) -> NDArray[Any] | None:
    """A matrix of 0 and 1, a row for each image; None where it is none.

    Raises:
        EvaluationError: It holds scores.
    """
    array = to_array(name, given)
    if array.dtype == object and array.ndim == 1:
        if not all(isinstance(row, list | tuple | np.ndarray) for row in array):
            return None
        if len({len(row) for row in array}) != 1 or not len(array[0]):
            return None
        array = np.array(array.tolist())
    if array.ndim != MATRIX:
        return None
    if array.dtype == object:
        array = array.astype(np.float64) if all(map(_is_number, array.flat)) else array
    if array.dtype.kind == "f" and not np.isin(array, (0, 1)).all():
        raise EvaluationError(
            f"{name}: holds numbers other than 0 and 1: {_SCORES_ELSEWHERE}"
            if np.isfinite(array).all()
            else f"{name}: holds NaN or infinite numbers"
        )
    return array if array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all() else None


def flatten_sets(name: str, given: object) -> tuple[GivenColumn, IntArray]:
    """Labels of lists or sets, one an image, in one column, and how many each image has, (n,).

    Raises:
        EvaluationError: Something is no list or set of labels.
    """
    rows = [_list_row(name, row) for row in to_array(name, given)]
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    flat = [value for row in rows for value in row]
    column = read_column(name, flat)
    if np.any(column.code < 0):
        raise EvaluationError(f"{name}: a list of labels holds None or NaN")
    return column, counts


def name_indicators(given: object, n_columns: int, labels: GivenLabels) -> tuple[LabelValue, ...]:
    """What the columns of a matrix of 0 and 1 stand for: a frame's columns, labels, or numbers."""
    if hasattr(given, "columns") and (named := _list_names(given)):
        return named
    if labels is None:
        return tuple(range(n_columns))
    names = [str(name) for name in (labels.values() if isinstance(labels, Mapping) else labels)]
    if len(names) != n_columns:
        raise EvaluationError(
            f"there are {n_columns} columns of 0 and 1, but {len(names)} labels: give a label for "
            "each column"
        )
    return tuple(names)


def read_thresholds_given(given: object, labels: Sequence[str]) -> dict[str, float]:
    """Thresholds by label: of one number for all, a number for each, or by name.

    Raises:
        UsageError: They are of other labels, or not from 0 to 1.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found = {str(name): value for name, value in given.items()}
    elif _is_number(given):
        found = dict.fromkeys(labels, given)
    else:
        values = to_column("thresholds", given).tolist()
        if len(values) != len(labels):
            raise UsageError(f"thresholds: {len(values)} for {len(labels)} labels")
        found = dict(zip(labels, values, strict=True))
    if unknown := [name for name in found if name not in labels]:
        raise UsageError(f"thresholds: no such labels: {quoted_some(unknown)}")
    wrong = [value for value in found.values() if not (_is_number(value) and 0 <= value <= 1)]
    if wrong:
        raise UsageError(f"thresholds: {quoted(wrong[0])} is no number from 0 to 1")
    return {name: float(value) for name, value in found.items()}


_SCORES_ELSEWHERE: Final = "are these scores? give them as y_score"


def _list_names(given: object) -> tuple[LabelValue, ...]:
    columns = list(getattr(given, "columns", ()))
    return tuple(_name_value("columns", column) for column in columns)


def _find_distinct(name: str, array: NDArray[Any]) -> tuple[list[object], IntArray]:
    """The distinct values and the place of each one among them, -1 for None and NaN."""
    if array.dtype.kind in "biuU":
        distinct, code = np.unique(array, return_inverse=True)
        return distinct.tolist(), code.reshape(-1)
    places: dict[object, int] = {}
    items = array.tolist()
    try:
        code = np.array(
            [-1 if is_missing(v) else places.setdefault(v, len(places)) for v in items],
            dtype=np.int64,
        )
    except TypeError as exc:  # a list in a list
        raise EvaluationError(f"{name}: holds {quoted(items[0])} and the like, no labels") from exc
    return list(places), code


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN or what pandas writes for these."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _name_value(name: str, value: object) -> LabelValue:
    """A label as a name or a whole number."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | np.bool_ | np.integer):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            raise EvaluationError(f"{name}: holds infinite numbers, no labels")
        if float(value).is_integer():
            return int(value)
        raise EvaluationError(f"{name}: holds {value:g}, no label: {_SCORES_ELSEWHERE}")
    raise EvaluationError(f"{name}: holds {quoted(value)}; labels are names or whole numbers")


def _collect_labels(
    columns: Sequence[GivenColumn], score_names: Sequence[LabelValue]
) -> NamedLabels:
    values = list(score_names)
    if not values:
        found = {value for column in columns for value in column.values}
        kinds = {isinstance(value, str) for value in found}
        if len(kinds) > 1:
            raise EvaluationError(
                f"{' and '.join(c.name for c in columns)}: one holds names, the other numbers: say "
                "which number is which with `labels=[…]`, names in the order of the numbers"
            )
        values = sorted(found)
    names = tuple(map(str, values))
    _check_distinct(names)
    places = {value: i for i, value in enumerate(values)} | {n: i for i, n in enumerate(names)}
    return NamedLabels(names=names, places=places, by_position=False)


def _check_distinct(names: Sequence[str]) -> None:
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise EvaluationError(f"labels: {quoted(twice[0])} stands twice")


def _are_numbers(values: Sequence[LabelValue]) -> bool:
    return not any(isinstance(value, str) for value in values)


def _read_named_scores(
    frame: object, names: tuple[LabelValue, ...], labels: NamedLabels
) -> FloatArray:
    """The columns of a frame at the places of their labels.

    Raises:
        EvaluationError: A column is of no label, or holds something else than confidences.
    """
    scores = to_numbers("y_score", frame)
    check_scores("y_score", scores)
    column = GivenColumn(name="y_score", values=names, code=np.arange(len(names)))
    placed = np.full((len(scores), len(labels.names)), np.nan)
    placed[:, labels.place(column)] = np.minimum(scores, 1.0)
    return placed


def _list_row(name: str, row: object) -> list[object]:
    if isinstance(row, str | bytes | Mapping) or not isinstance(row, Iterable):
        raise EvaluationError(
            f"{name}: holds {quoted(row)} where the labels of an image belong: a list or a set"
        )
    return list(dict.fromkeys(row))


def _is_row(row: object) -> bool:
    return isinstance(row, Iterable) and not isinstance(row, str | bytes)


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating)


def find_true(matrix: NDArray[Any]) -> tuple[IntArray, IntArray]:
    """The image and the column of each 1 of a matrix, by image."""
    image_idx, column = np.nonzero(matrix)
    return image_idx.astype(np.int64), column.astype(np.int64)


def find_wrong(y_pred: IntArray, scores: FloatArray) -> BoolArray:
    """Where a predicted label does not have the highest score, (n,)."""
    rows = np.flatnonzero(y_pred >= 0)
    wrong = np.zeros(len(y_pred), dtype=np.bool_)
    wrong[rows] = ~(scores[rows, y_pred[rows]] >= np.nanmax(scores[rows], axis=1))
    return wrong
