"""Ground truth as Google exports and imports it (JSON lines of Vertex AI, CSV) -> plain columns."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.google_columns import (
    BadLines,
    Box,
    DataInput,
    ImageColumns,
    check_image,
    check_label,
    make_box,
    peek,
    read_csv_rows,
    read_json_lines,
)
from mlrek.formats.instead import describe_spoilt
from mlrek.formats.json_text import show

_ML_USE = "aiplatform.googleapis.com/ml_use"
_N_BOX_CELLS = 8


class MlUse(IntEnum):
    """Which part of the data an image belongs to."""

    UNKNOWN = 0
    TEST = 1
    OTHER = 2  # training or validation


_USES = {"": MlUse.UNKNOWN, "unassigned": MlUse.UNKNOWN, "test": MlUse.TEST}


@dataclass(slots=True, kw_only=True)
class TruthColumns(ImageColumns):
    """The true labels or boxes of images, each once; `use` (codes of `MlUse`) goes with `images`.

    `says_several` tells that the file is one of several labels an image.
    """

    use: "array[int]" = field(default_factory=lambda: array("b"))
    says_several: bool = False


class _Annotation(Struct):
    """A label, or a box with its label; coordinates may be strings, and one of 0 may be missing."""

    display_name: str = key(name="displayName", default="")
    snake_name: str = key(name="display_name", default="")
    x_min: float | str = key(name="xMin", default=0.0)
    x_max: float | str = key(name="xMax", default=0.0)
    y_min: float | str = key(name="yMin", default=0.0)
    y_max: float | str = key(name="yMax", default=0.0)
    snake_x_min: float | str = key(name="x_min", default=0.0)
    snake_x_max: float | str = key(name="x_max", default=0.0)
    snake_y_min: float | str = key(name="y_min", default=0.0)
    snake_y_max: float | str = key(name="y_max", default=0.0)


class _Line(Struct, rename="camel"):
    image_gcs_uri: str = ""
    classification_annotation: _Annotation | None = None
    classification_annotations: list[_Annotation] | None = None
    bounding_box_annotations: list[_Annotation] | None = None
    polygon_annotations: Raw | UnsetType = UNSET
    segmentation_annotation: Raw | UnsetType = UNSET
    data_item_resource_labels: dict[str, str] | None = None


class _SnakeLine(Struct):
    """The same line as a client library spells it."""

    image_gcs_uri: str = ""
    classification_annotation: _Annotation | None = None
    classification_annotations: list[_Annotation] | None = None
    bounding_box_annotations: list[_Annotation] | None = None
    polygon_annotations: Raw | UnsetType = UNSET
    segmentation_annotation: Raw | UnsetType = UNSET
    data_item_resource_labels: dict[str, str] | None = None


_CAMEL_DECODER = Decoder(_Line)
_SNAKE_DECODER = Decoder(_SnakeLine)

_Label: TypeAlias = tuple[str, Box | None]


@dataclass(slots=True)
class _Image:
    use: MlUse
    labels: list[_Label]


def parse_truth(
    inputs: Iterable[DataInput], *, has_boxes: bool, skip_bad_lines: bool = False
) -> TruthColumns:
    """The ground truth of all files, each image once.

    Rows of CSV that name one image are one image: each box and, at Google's import, each label may
    have its row. Of lines of JSON that name one image the first counts.

    Args:
        inputs: The files, JSON lines or CSV.
        has_boxes: Whether the true boxes are wanted, or the labels of whole images.
        skip_bad_lines: Leave malformed lines out and count them in a warning.

    Raises:
        ParseError: A line is malformed, or of the other kind.
    """
    reader = _Reader(has_boxes=has_boxes)
    bad_lines = BadLines("the ground truth", skip=skip_bad_lines)
    for data in inputs:
        head, chunks = peek(data.chunks)
        if head and (said := describe_spoilt(head)):
            raise ParseError(data.name, 0, said)
        whole = DataInput(name=data.name, chunks=chunks)
        if not head.startswith(b"{"):
            read_csv_rows(whole, reader.read_row, bad_lines)
        elif b'"image_gcs_uri"' in head:
            read_json_lines(whole, _SNAKE_DECODER, reader.read_line, bad_lines)
        else:
            read_json_lines(whole, _CAMEL_DECODER, reader.read_line, bad_lines)
    return reader.make_columns([*bad_lines.warn(), *reader.warn()])


class _Reader:
    """Gathers the images line by line; a line that raises leaves no trace."""

    def __init__(self, *, has_boxes: bool) -> None:
        self._has_boxes = has_boxes
        self._images: dict[str, _Image] = {}
        self._repeated: dict[str, bool] = {}  # image -> whether its lines differ
        self._says_several = False

    def read_line(self, line: _Line | _SnakeLine) -> None:
        """Take what a line of JSON says.

        Raises:
            ValueError: The line is malformed.
        """
        name = check_image(line.image_gcs_uri)
        image = _Image(use=_read_use(line), labels=self._read_labels(line))
        self._says_several |= line.classification_annotations is not None
        if name in self._images:
            differs = self._images[name] != image
            self._repeated[name] = self._repeated.get(name, False) or differs
        else:
            self._images[name] = image

    def read_row(self, row: Sequence[str]) -> None:
        """Take what a row of CSV says: `[ML_USE,]gs://…,LABEL…`, or a label and a box.

        Raises:
            ValueError: The row is malformed.
        """
        cells = [cell.strip() for cell in row]
        use = "" if "://" in cells[0] else cells.pop(0)
        name = check_image(cells.pop(0) if cells else "")
        if "://" not in name:
            raise ValueError(f"names no image: {show(name)}")
        if self._has_boxes:
            labels = _read_box_cells(cells)
        else:
            labels = [(check_label(cell), None) for cell in cells if cell]
        image = self._images.setdefault(name, _Image(use=_parse_use(use), labels=[]))
        image.labels += labels

    def _read_labels(self, line: _Line | _SnakeLine) -> list[_Label]:
        if line.polygon_annotations is not UNSET or line.segmentation_annotation is not UNSET:
            raise ValueError("holds polygons or masks, which are not read")
        boxes, several = line.bounding_box_annotations, line.classification_annotations
        if self._has_boxes and boxes is None and (several or line.classification_annotation):
            raise ValueError("holds labels of the whole image, but the predictions are boxes")
        if self._has_boxes:
            return [(_name_of(label), _box_of(label)) for label in boxes or ()]
        if boxes:
            raise ValueError("holds boxes, but the predictions are labels of whole images")
        single = line.classification_annotation
        listed = (
            several if several is not None else [single] if single and _has_name(single) else []
        )
        return [(_name_of(label), None) for label in listed]

    def warn(self) -> Iterator[str]:
        """The images that stand there more than once."""
        if not self._repeated:
            return
        differing = sum(self._repeated.values())
        first = show(next(iter(self._repeated)))
        yield (
            f"{len(self._repeated)} images stand more than once in the ground truth ({differing} "
            f"of them with another truth); the first line of each counts; first: {first}"
        )

    def make_columns(self, warnings: list[str]) -> TruthColumns:
        """All images in the order of their first lines."""
        columns = TruthColumns(
            has_boxes=self._has_boxes, says_several=self._says_several, warnings=warnings
        )
        for name, image in self._images.items():
            labels = (label for label, _ in image.labels)
            columns.append_image(name, labels, (box for _, box in image.labels if box))
            columns.use.append(image.use)
        return columns


def _read_use(line: _Line | _SnakeLine) -> MlUse:
    return _parse_use((line.data_item_resource_labels or {}).get(_ML_USE, ""))


def _parse_use(text: str) -> MlUse:
    return _USES.get(text.lower(), MlUse.OTHER)


def _has_name(label: _Annotation) -> bool:
    return bool(label.display_name or label.snake_name)


def _name_of(label: _Annotation) -> str:
    return check_label(label.display_name or label.snake_name)


def _box_of(label: _Annotation) -> Box:
    x_min, x_max = (
        float(label.x_min or label.snake_x_min),
        float(label.x_max or label.snake_x_max),
    )
    y_min, y_max = (
        float(label.y_min or label.snake_y_min),
        float(label.y_max or label.snake_y_max),
    )
    if x_min > x_max or y_min > y_max or not (x_max or y_max):
        raise ValueError(f"a box ends before it begins: {show((x_min, y_min, x_max, y_max))}")
    return make_box((x_min, x_max), (y_min, y_max))


def _read_box_cells(cells: Sequence[str]) -> list[_Label]:
    """A label and up to four corners; no label is an image without objects."""
    if not any(cells):
        return []
    label, *coordinates = cells
    corners = coordinates[:_N_BOX_CELLS]
    xs = [float(cell) for cell in corners[0::2] if cell]
    ys = [float(cell) for cell in corners[1::2] if cell]
    return [(check_label(label), make_box(xs, ys))]
