"""Confidences, thresholds and boxes of a table: their scale, and what is wrong with them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlrek.errors import ParseError
from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.formats.json_text import say_first
from mlrek.formats.tables.columns import CORNERS, Header, Role
from mlrek.formats.tables.rows import TableRows

_NOISE: Final = 1e-5
"""What rounding adds to 1."""

_HUNDRED: Final = 100.0
_PERCENT_NOISE: Final = 1e-3
_LEAST_PERCENT: Final = 10.0
"""Where nothing is above, numbers above 1 are hardly percent."""

_LOGITS: Final = (
    "confidences are fractions from 0 to 1 or percent; of logits take softmax or sigmoid"
)
_MIXED_SHARE: Final = 20
"""One in so many boxes may be smaller than a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidences:
    """Confidences of a table, none of them NaN, (n,), in the column `name`.

    `find_row` gives the row of one of them; `find_highest` the highest of each image, (n_images,).
    """

    rows: TableRows
    name: str
    values: FloatArray
    find_row: Callable[[int], int]
    find_highest: Callable[[], FloatArray]

    def refuse(self, place: int, said: str) -> ParseError:
        """The error of one of them."""
        found = f"{self.name} is {self.values[place]:g}"
        return self.rows.refuse(self.find_row(place), f"{found}, {said}")


def scale_confidences(given: Confidences) -> tuple[FloatArray, tuple[str, ...]]:
    """Confidences as fractions from 0 to 1, and a warning where the file has them in percent.

    Raises:
        ParseError: One is negative, infinite or above 100, or some are fractions, others percent.
    """
    values = given.values
    if not len(values):
        return values, ()
    low, high = float(values.min()), float(values.max())
    if low < -_NOISE:
        raise given.refuse(int(np.argmax(values < -_NOISE)), f"which is negative: {_LOGITS}")
    if high > _HUNDRED + _PERCENT_NOISE:
        place = int(np.argmax(values > _HUNDRED + _PERCENT_NOISE))
        raise given.refuse(place, f"which is above 100: {_LOGITS}")
    if high <= 1 + _NOISE:
        is_clean = low >= 0 and high <= 1
        return (values if is_clean else np.clip(values, 0, 1)), ()
    if high < _LEAST_PERCENT:
        said = f"the highest of the file: neither a fraction nor percent; {_LOGITS}"
        raise given.refuse(int(np.argmax(values)), said)
    _check_mixture(given)
    said = f"{given.name} is in percent (up to {high:g}) and is read as such"
    return np.clip(values / 100, 0, 1), (said,)


def _check_mixture(given: Confidences) -> None:
    """Refuse a file of percent in which whole images look like fractions.

    The highest percentages of images run on below 1; those of two files put together do not.

    Raises:
        ParseError: They do.
    """
    highest = given.find_highest()
    is_fraction = (highest > 0) & (highest <= 1 + _NOISE)
    n_fractions = np.count_nonzero(is_fraction & (highest > 0.25))  # noqa: PLR2004 - as wide a step
    n_above = np.count_nonzero((highest > 1 + _NOISE) & (highest <= 4))  # noqa: PLR2004 - as this
    if not is_fraction.any() or n_fractions < 2 * n_above:
        return
    rows, images = given.rows, (int(np.argmax(is_fraction)), int(np.argmax(highest > 1 + _NOISE)))
    first, other = (
        f"{rows.name_row(int(np.argmax(rows.image_idx == image)))}: {highest[image]:g}"
        for image in images
    )
    said = f"{given.name} mixes fractions ({first}) and percent ({other}); write all alike"
    raise ParseError(rows.uri, 0, said)


def find_thresholds(
    rows: TableRows, codes: IntArray | None, n_labels: int
) -> tuple[FloatArray, tuple[str, ...]]:
    """The threshold of each label in the table, (n_labels,), NaN for none.

    Args:
        rows: The table.
        codes: The label of each row, -1 for none; None: thresholds count for all labels.
        n_labels: How many labels there are.

    Raises:
        ParseError: A label has two, or one is no share.
    """
    found = np.full(n_labels, np.nan)
    given = rows.numbers.get(Role.THRESHOLD)
    if given is None or not n_labels or np.isnan(given).all():
        return found, ()
    row_idx = np.flatnonzero(~np.isnan(given))
    name = rows.header.name_of(Role.THRESHOLD)
    kept, scale, warnings = given[row_idx], 1.0, list[str]()
    wrong = (kept < 0) | (kept > 100)  # noqa: PLR2004 - percent
    if wrong.any():
        place = int(np.argmax(wrong))
        raise rows.refuse(int(row_idx[place]), f"{name} is {kept[place]:g}, which is no share")
    if kept.max() > 1 + _NOISE:
        scale = 100.0
        warnings.append(f"{name} is in percent (up to {kept.max():g}) and is read as such")
    if codes is None or len(np.unique(kept)) == 1:
        codes_of = np.zeros(len(row_idx), dtype=np.int64)
        found[:] = kept[0] / scale
    else:
        codes_of = codes[row_idx].astype(np.int64)
        found[codes_of[codes_of >= 0][::-1]] = kept[codes_of >= 0][::-1] / scale
    differs = (codes_of >= 0) & (kept != found[codes_of] * scale)
    differs &= np.abs(kept - found[codes_of] * scale) > 1e-12  # noqa: PLR2004 - rounding
    if differs.any():
        place = int(np.argmax(differs))
        raise rows.refuse(
            int(row_idx[place]),
            f"{name} is {kept[place]:g}, but {found[codes_of[place]] * scale:g} before; a label "
            "has one threshold",
        )
    return found, tuple(warnings)


# ---- boxes ----------------------------------------------------------------------------------


def has_boxes(header: Header) -> bool:
    """Whether columns hold boxes.

    Raises:
        ValueError: Some columns of a box are there, others are not.
    """
    if Role.BOX in header:
        raise ValueError(
            f"{header.name_of(Role.BOX)} holds whole boxes, which may mean several things; write "
            "columns `x_min`, `y_min`, `x_max`, `y_max`, or `x`, `y`, `width`, `height`"
        )
    parts = {
        role
        for role in (*CORNERS, Role.X_CENTER, Role.Y_CENTER, Role.BOX_WIDTH, Role.BOX_HEIGHT)
        if role in header
    }
    if not parts:
        return False
    if _find_form(header) is None:
        shown = ", ".join(header.name_of(role) for role in sorted(parts))
        raise ValueError(
            f"has a part of a box only ({shown}); needed are `x_min`, `y_min`, `x_max`, `y_max`, "
            "or `x`, `y`, `width`, `height`"
        )
    return True


def _find_form(header: Header) -> tuple[Role, ...] | None:
    """The four columns of a box: its corners, a corner and its size, or its middle and size."""
    if all(role in header for role in CORNERS):
        return CORNERS
    sizes = [
        next((role for role in roles if role in header), None)
        for roles in ((Role.BOX_WIDTH, Role.WIDTH), (Role.BOX_HEIGHT, Role.HEIGHT))
    ]
    for begin in ((Role.X_MIN, Role.Y_MIN), (Role.X_CENTER, Role.Y_CENTER)):
        if all(role in header for role in begin) and sizes[0] and sizes[1]:
            return (*begin, sizes[0], sizes[1])
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBoxes:
    """The boxes of rows: `boxes_xyxy` (n_rows, 4), NaN for a row without a box.

    `image_sizes` (n_images, 2) are NaN where not told; `normalized`: corners are shares of these.
    """

    boxes_xyxy: FloatArray
    image_sizes: FloatArray
    normalized: bool
    warnings: tuple[str, ...]


def find_boxes_of_rows(rows: TableRows) -> TableBoxes:
    """The box of each row.

    Raises:
        ParseError: A box is turned over, or lacks a number; most have no area; images have two
            sizes.
    """
    form = _find_form(rows.header)
    assert form is not None  # noqa: S101 - for the type checker: `has_boxes` saw to it
    numbers = np.column_stack([rows.numbers[role] for role in form])
    boxes = _make_corners(form, numbers)
    missing = np.isnan(numbers)
    if (half := missing.any(axis=1) & ~missing.all(axis=1)).any():
        row = int(np.argmax(half))
        name = rows.header.name_of(form[int(np.argmax(missing[row]))])
        raise rows.refuse(row, f"has a part of a box only: {name} is empty")
    has_box = ~missing[:, 0]
    _check_turned(rows, boxes, has_box)
    flat_warnings = tuple(_warn_flat(rows, boxes, has_box))
    normalized = bool(np.nanmax(np.abs(boxes), initial=0) <= 1 + _NOISE) and not missing.all()
    sizes, size_warnings = _find_sizes(rows, boxes)
    return TableBoxes(
        boxes_xyxy=boxes,
        image_sizes=sizes,
        normalized=normalized,
        warnings=(
            *flat_warnings,
            *_say_unit(rows, boxes, normalized=normalized),
            *size_warnings,
        ),
    )


def _make_corners(form: tuple[Role, ...], numbers: FloatArray) -> FloatArray:
    if form == CORNERS:
        return numbers
    begin, size = numbers[:, :2], numbers[:, 2:]
    if form[0] is Role.X_CENTER:
        begin = begin - size / 2
    return np.hstack([begin, begin + size])


def _check_turned(rows: TableRows, boxes: FloatArray, has_box: BoolArray) -> None:
    if np.any(bad := has_box & ~np.isfinite(boxes).all(axis=1)):
        raise rows.refuse(int(np.argmax(bad)), "a corner of its box is infinite")
    for low, high, side in ((0, 2, "x"), (1, 3, "y")):
        turned = has_box & (boxes[:, high] < boxes[:, low])
        if turned.any():
            row = int(np.argmax(turned))
            ends = f"{side} from {boxes[row, low]:g} to {boxes[row, high]:g}"
            n = np.count_nonzero(turned)
            raise rows.refuse(row, f"its box has no area: {ends} ({n} of {len(boxes)} boxes)")


def _warn_flat(rows: TableRows, boxes: FloatArray, has_box: BoolArray) -> Iterator[str]:
    """Yield how many boxes have no area, as models write now and then.

    Raises:
        ParseError: Most have none.
    """
    flat = has_box & np.any(boxes[:, :2] == boxes[:, 2:], axis=1)
    n, of = np.count_nonzero(flat), np.count_nonzero(has_box)
    if not n:
        return
    row = int(np.argmax(flat))
    if 2 * n >= of:
        raise rows.refuse(row, f"its box has no area ({n} of {of} boxes)")
    yield f"{n} of {of} boxes have no area, and can overlap nothing; first: {rows.name_row(row)}"


def _say_unit(rows: TableRows, boxes: FloatArray, *, normalized: bool) -> Iterator[str]:
    """Yield that corners are shares, or that some seem to be.

    Raises:
        ParseError: So many seem to be that two kinds are mixed.
    """
    if normalized:
        yield "all corners of boxes are from 0 to 1: they are read as shares of the image's size"
        return
    within = (boxes >= -_NOISE).all(axis=1) & (boxes <= 1 + _NOISE).all(axis=1)
    n, of = int(np.count_nonzero(within)), int(np.count_nonzero(~np.isnan(boxes[:, 0])))
    if n * _MIXED_SHARE >= max(of, 1):
        small, large = int(np.argmax(within)), int(np.nanargmax(boxes[:, 2]))
        raise ParseError(
            rows.uri,
            0,
            f"mixes boxes in shares of the image ({rows.name_row(small)}) and in pixels "
            f"({rows.name_row(large)}); write all alike",
        )
    if n:
        first = rows.images[rows.image_idx[int(np.argmax(within))]]
        yield say_first(n, of, "boxes are smaller than a pixel, at the edge", first)


def _find_sizes(rows: TableRows, boxes: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """The size of each image, (n_images, 2), where the table has it.

    Raises:
        ParseError: An image has two sizes.
    """
    sizes = np.full((len(rows.images), 2), np.nan)
    roles = _find_size_roles(rows.header)
    if roles is None:
        return sizes, ()
    given = np.column_stack([rows.numbers[role] for role in roles])
    spans = boxes[:, 2:] - boxes[:, :2]
    if roles[0] is Role.WIDTH and np.allclose(given, spans, rtol=0, atol=1, equal_nan=True):
        names = " and ".join(rows.header.name_of(role) for role in roles)
        return sizes, (f"{names} repeat the size of the box and are passed over",)
    told = np.flatnonzero(~np.isnan(given).any(axis=1))
    sizes[rows.image_idx[told[::-1]]] = given[told[::-1]]
    differs = (given[told] != sizes[rows.image_idx[told]]).any(axis=1)
    if differs.any():
        row = int(told[int(np.argmax(differs))])
        raise rows.refuse(row, "has another size of the image than a row before; keep one")
    if np.any(wrong := (given[told] <= 0).any(axis=1)):
        raise rows.refuse(int(told[int(np.argmax(wrong))]), "the size of its image is not above 0")
    return sizes, ()


def _find_size_roles(header: Header) -> tuple[Role, Role] | None:
    if Role.IMAGE_WIDTH in header and Role.IMAGE_HEIGHT in header:
        return Role.IMAGE_WIDTH, Role.IMAGE_HEIGHT
    form = _find_form(header)
    if Role.WIDTH in header and Role.HEIGHT in header and form and Role.WIDTH not in form:
        return Role.WIDTH, Role.HEIGHT
    return None
