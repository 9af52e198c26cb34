"""The names that people give to the columns of a table, and what each column means."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from mlrek.formats.json_text import join_some, quoted

K = TypeVar("K")


class Role(StrEnum):
    """What a column says of an image, of a label on it, or of a box."""

    IMAGE = "image"
    LABEL = "label"
    CONFIDENCE = "confidence"
    TRUTH = "truth"
    PREDICTED = "predicted"
    THRESHOLD = "threshold"
    X_MIN = "x_min"
    Y_MIN = "y_min"
    X_MAX = "x_max"
    Y_MAX = "y_max"
    X_CENTER = "x_center"
    Y_CENTER = "y_center"
    BOX_WIDTH = "box_width"
    BOX_HEIGHT = "box_height"
    WIDTH = "width"  # of the box, or of the image where the box has all four corners
    HEIGHT = "height"
    IMAGE_WIDTH = "image_width"
    IMAGE_HEIGHT = "image_height"
    IMAGE_ID = "image_id"  # names the image where nothing else does
    LABEL_ID = "label_id"  # names the label where nothing else does
    BOX = "box"  # a whole box in one cell, which is not read


COLUMN_NAMES: Final[Mapping[Role, tuple[str, ...]]] = MappingProxyType(
    {
        Role.IMAGE: (
            *("image", "img", "file", "file_name", "file_path", "path", "image_path"),
            *("image_file", "image_name", "img_path", "img_name", "img_file", "uri", "image_uri"),
            *("url", "image_url", "source_ref", "s3_uri", "gcs_uri", "image_gcs_uri"),
        ),
        Role.LABEL: (
            *("label", "labels", "class", "classes", "category", "categories", "name"),
            *("class_name", "label_name", "category_name", "cls", "tag", "tags"),
        ),
        Role.CONFIDENCE: (
            *("confidence", "confidences", "conf", "score", "scores", "probability"),
            *("probabilities", "prob", "proba", "y_score", "y_prob", "y_proba"),
            *("confidence_score", "prediction_score", "predicted_score", "pred_score"),
            *("prediction_confidence", "predicted_confidence", "pred_confidence", "pred_conf"),
            *("predicted_probability", "prediction_probability", "pred_prob"),
        ),
        Role.TRUTH: (
            *("truth", "true", "y_true", "true_label", "true_labels", "true_class", "truth_label"),
            *("ground_truth", "ground_truth_label", "gt", "gt_label", "gt_class", "groundtruth"),
            *("actual", "actual_label", "actual_class", "target", "targets", "expected"),
        ),
        Role.PREDICTED: (
            *("predicted", "prediction", "predictions", "pred", "preds", "y_pred", "y_hat"),
            *("predicted_label", "predicted_labels", "predicted_class", "prediction_label"),
            *("pred_label", "pred_class", "predicted_category"),
        ),
        Role.THRESHOLD: ("threshold", "assumed_threshold", "score_threshold", "cutoff"),
        Role.X_MIN: ("x_min", "left", "x1", "x0", "x", "bbox_x_min", "bbox_x1", "bbox_x", "box_x"),
        Role.Y_MIN: ("y_min", "top", "y1", "y0", "y", "bbox_y_min", "bbox_y1", "bbox_y", "box_y"),
        Role.X_MAX: ("x_max", "right", "x2", "bbox_x_max", "bbox_x2"),
        Role.Y_MAX: ("y_max", "bottom", "y2", "bbox_y_max", "bbox_y2"),
        Role.X_CENTER: ("x_center", "center_x", "xc", "cx", "x_centre", "centre_x"),
        Role.Y_CENTER: ("y_center", "center_y", "yc", "cy", "y_centre", "centre_y"),
        Role.BOX_WIDTH: ("box_width", "bbox_width", "box_w", "bbox_w"),
        Role.BOX_HEIGHT: ("box_height", "bbox_height", "box_h", "bbox_h"),
        Role.WIDTH: ("width", "w"),
        Role.HEIGHT: ("height", "h"),
        Role.IMAGE_WIDTH: ("image_width", "img_width", "image_w", "img_w"),
        Role.IMAGE_HEIGHT: ("image_height", "img_height", "image_h", "img_h"),
        Role.IMAGE_ID: ("image_id", "img_id"),
        Role.LABEL_ID: ("label_id", "class_id", "category_id", "class_idx", "class_index"),
        Role.BOX: ("bbox", "box", "boxes", "bounding_box", "bndbox", "bboxes"),
    }
)
"""The spellings that are read; capitals and what stands between words do not matter."""

OWN_TABLE: Final = "predictions.csv"
"""The table of predictions in each run of mlrek's."""

OWN_LABELS: Final = "labels.json"
"""The names and the order of labels, next to it."""

SCORE_PREFIXES: Final = ("score", "scores", "prob", "probability", "proba", "confidence", "conf")
"""`<prefix>_<label>` is the column of one label's confidences."""

TRUTH_PREFIXES: Final = ("truth", "true", "y_true", "gt", "ground_truth", "actual")
"""`<prefix>_<label>` tells by 1 or 0 whether the label is true."""

LABELS: Final = (Role.LABEL, Role.TRUTH, Role.PREDICTED)
"""Columns whose cells are labels."""

CORNERS: Final = (Role.X_MIN, Role.Y_MIN, Role.X_MAX, Role.Y_MAX)

_DELIMITERS: Final = ",;\t|"
_MARKS: Final = re.compile(r"[\W_]+")
_INDEX: Final = re.compile(
    r"(unnamed:?\s*\d+(\.\d+)*|index|level_\d+|__index_level_\d+__|)", re.IGNORECASE
)
_MOST_NAMED: Final = 10


def _fold(name: str) -> str:
    """A name without capitals and without what stands between words."""
    return _MARKS.sub("", name.casefold())


_ROLES: Final = {_fold(name): role for role, names in COLUMN_NAMES.items() for name in names}


def _prefixed(prefixes: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"(?:{'|'.join(prefixes)})[\W_](?P<label>.+)", re.IGNORECASE | re.DOTALL)


_SCORE: Final = _prefixed(SCORE_PREFIXES)
_HOT: Final = _prefixed(TRUTH_PREFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the columns of a table mean: places of columns by role, and by label.

    `scores` are columns of one label's confidences, `hot` those that tell whether it is true.
    `further` are columns without a meaning of their own, by name: they may say something of images.
    `passed` are the names of columns that say nothing here, `index` those that only number rows.
    """

    names: tuple[str, ...]
    roles: Mapping[Role, int]
    scores: Mapping[str, int]
    hot: Mapping[str, int]
    further: Mapping[str, int]
    passed: tuple[str, ...] = ()
    index: tuple[str, ...] = ()

    def __contains__(self, role: Role) -> bool:
        return role in self.roles

    def name_of(self, role: Role) -> str:
        """The column's own name, for messages."""
        return quoted(self.names[self.roles[role]])

    def warn(self) -> Iterator[str]:
        """Yield what is passed over."""
        if self.index:
            yield f"columns that only number the rows are passed over: {_list(self.index)}"
        if self.passed:
            yield f"columns that say nothing more are passed over: {_list(self.passed)}"


def list_column_names() -> dict[str, tuple[str, ...]]:
    """The spellings that are read, by what the column means; for a help text."""
    names = {
        role.value: spellings for role, spellings in COLUMN_NAMES.items() if role is not Role.BOX
    }
    return {
        **names,
        "score of a label": tuple(f"{prefix}_<label>" for prefix in SCORE_PREFIXES),
        "truth of a label": tuple(f"{prefix}_<label>" for prefix in TRUTH_PREFIXES),
    }


def find_role(name: str) -> Role | None:
    """What a column of that name says; None where the name is not known."""
    return None if _INDEX.fullmatch(name.strip()) else _ROLES.get(_fold(name))


def names_images(names: Sequence[str]) -> bool:
    """Whether columns of these names hold images and labels, perhaps several of one meaning."""
    roles = {find_role(name) for name in names}
    of_labels = any(_SCORE.fullmatch(name) or _HOT.fullmatch(name) for name in names)
    is_labelled = of_labels or not roles.isdisjoint(_LABELS)
    return is_labelled and not roles.isdisjoint((Role.IMAGE, Role.IMAGE_ID))


def read_header(names: Sequence[str]) -> Header:
    """What the columns mean.

    Raises:
        ValueError: Two columns mean the same.
    """
    roles: dict[Role, int] = {}
    labels: dict[str, dict[str, int]] = {"score": {}, "truth": {}}
    further: dict[str, int] = {}
    passed, index = [], []
    for place, name in enumerate(names):
        if role := find_role(name):
            _place(roles, role, place, names)
        elif _INDEX.fullmatch(name.strip()):
            index.append(name)
        elif found := _SCORE.fullmatch(name.strip()):
            _place(labels["score"], found["label"], place, names)
        elif found := _HOT.fullmatch(name.strip()):
            _place(labels["truth"], found["label"], place, names)
        elif name in further:
            passed.append(name)
        else:
            further[name] = place
    for by_id, by_name in ((Role.IMAGE_ID, Role.IMAGE), (Role.LABEL_ID, Role.LABEL)):
        if by_id in roles:
            place = roles.pop(by_id)
            is_named = by_name in roles or (by_id is Role.LABEL_ID and _NAMED & roles.keys())
            if is_named:
                passed.append(names[place])
            else:
                roles[by_name] = place
    return Header(
        names=tuple(names),
        roles=roles,
        scores=labels["score"],
        hot=labels["truth"],
        further=further,
        passed=tuple(passed),
        index=tuple(index),
    )


def read_image_header(names: Sequence[str]) -> Header:
    """What the columns of a table of images mean: one names them, all others say something.

    Raises:
        ValueError: None names images.
    """
    folded = [_fold(name) for name in names]
    wanted = (*COLUMN_NAMES[Role.IMAGE], *COLUMN_NAMES[Role.IMAGE_ID])
    image = next((place for n in wanted for place, f in enumerate(folded) if f == _fold(n)), None)
    if image is None:
        shown = _list(names)
        raise ValueError(f"names no images: its columns are {shown}; needed is a column `image`")
    others = [(place, name) for place, name in enumerate(names) if place != image]
    index = [name for _, name in others if _INDEX.fullmatch(name.strip())]
    further: dict[str, int] = {}
    for place, name in others:
        if name not in index and further.setdefault(name, place) != place:
            raise ValueError(f"two columns are both named {quoted(name)}; keep one of them")
    return Header(
        names=tuple(names),
        roles={Role.IMAGE: image},
        scores={},
        hot={},
        further=further,
        index=tuple(index),
    )


_LABELS: Final = (Role.LABEL, Role.TRUTH, Role.PREDICTED, Role.LABEL_ID)
_NAMED: Final = frozenset((Role.TRUTH, Role.PREDICTED))


def split_names(line: bytes) -> tuple[str, tuple[str, ...]]:
    """The delimiter of a header, and its names: that by which most names are known."""
    text = line.decode("utf-8", "replace").strip("\r\n")
    found = {mark: _split(text, mark) for mark in _DELIMITERS}
    return max(found.items(), key=lambda item: (_count_known(item[1]), len(item[1])))


def _split(text: str, delimiter: str) -> tuple[str, ...]:
    try:
        rows = list(csv.reader([text], delimiter=delimiter))
    except csv.Error:
        return (text,)
    return tuple(name.strip() for name in rows[0]) if rows else ()


def _count_known(names: Sequence[str]) -> int:
    try:
        header = read_header(names)
    except ValueError:
        return len(names)
    return len(header.roles) + len(header.scores) + len(header.hot)


def _place(places: dict[K, int], key: K, place: int, names: Sequence[str]) -> None:
    if key in places:
        first, second = names[places[key]], names[place]
        what = "are both named" if first == second else "mean the same:"
        said = quoted(first) if first == second else f"{quoted(first)} and {quoted(second)}"
        raise ValueError(f"two columns {what} {said}; keep one of them")
    places[key] = place


def _list(names: Sequence[str]) -> str:
    return join_some([*map(quoted, names[: _MOST_NAMED + 1])], ", ", _MOST_NAMED)
