"""Ground truth as Google exports and imports it (JSON lines of Vertex AI, CSV) -> plain columns."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Doubt
from mlrek.formats.columns import BadLines, read_lines
from mlrek.formats.google_columns import (
    Box,
    DataInput,
    ImageColumns,
    check_image,
    check_label,
    make_box,
    peek,
    read_csv_rows,
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

    So does `is_labelled` (0 or 1): whether anything is said of the truth, be it that there is none.
    `says_several` tells that the file is one of several labels an image. `repeated` are images that
    stand there more than once; `contradicted` those whose lines differ in the truth, which are none
    of the `images`, and the part of the data that they belong to.
    """

    use: "array[int]" = field(default_factory=lambda: array("b"))
    is_labelled: "array[int]" = field(default_factory=lambda: array("B"))
    repeated: set[str] = field(default_factory=set)
    contradicted: dict[str, MlUse] = field(default_factory=dict)
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
    is_labelled: bool = True

    def agrees(self, other: "_Image") -> bool:
        """Whether another line of the image says the same of its truth."""
        known = self.is_labelled and other.is_labelled
        return not known or sorted(self.labels, key=repr) == sorted(other.labels, key=repr)


def parse_truth(
    inputs: Iterable[DataInput], *, has_boxes: bool, skip_bad_lines: bool = False
) -> TruthColumns:
    """The ground truth of all files, each image once.

    Rows of CSV that name one image are one image: each box and, at Google's import, each label may
    have its row. Lines of JSON that name one image must agree about its truth; else it is left out.

    Args:
        inputs: The files, JSON lines or CSV.
        has_boxes: Whether the true boxes are wanted, or the labels of whole images.
        skip_bad_lines: Leave malformed lines out and count them in a warning.

    Raises:
        ParseError: A line is malformed, or of the other kind.
    """
    reader = _Reader(has_boxes=has_boxes)
    bad_lines, n_read = BadLines(skip=skip_bad_lines), 0
    for data in inputs:
        head, chunks = peek(data.chunks)
        if head and (said := describe_spoilt(head)):
            raise ParseError(data.name, 0, said)
        name, read = data.name, reader.read_line
        if not head.startswith(b"{"):
            n_read += read_csv_rows(DataInput(name=name, chunks=chunks), reader.read_row, bad_lines)
        elif b'"image_gcs_uri"' in head:
            n_read += read_lines(_SNAKE_DECODER, chunks, name, read, bad_lines)
        else:
            n_read += read_lines(_CAMEL_DECODER, chunks, name, read, bad_lines)
    return reader.make_columns([*bad_lines.doubt(n_read, "lines of the ground truth")])


class _Reader:
    """Gathers the images line by line; a line that raises leaves no trace."""

    def __init__(self, *, has_boxes: bool) -> None:
        self._has_boxes = has_boxes
        self._images: dict[str, _Image] = {}
        self._repeated: set[str] = set()
        self._contradicted: set[str] = set()
        self._says_several = False

    def read_line(self, _number: int, line: _Line | _SnakeLine) -> None:
        """Take what a line of JSON says.

        Raises:
            ValueError: The line is malformed.
        """
        name = check_image(line.image_gcs_uri)
        labels, is_labelled = self._read_labels(line), self._is_labelled(line)
        image = _Image(use=_read_use(line), labels=labels, is_labelled=is_labelled)
        self._says_several |= line.classification_annotations is not None
        known = self._images.setdefault(name, image)
        if known is image:
            return
        self._repeated.add(name)
        if not known.agrees(image):
            self._contradicted.add(name)
        self._images[name] = image if image.is_labelled and not known.is_labelled else known
        self._images[name].use = _join_uses(known.use, image.use)

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
        part, is_labelled = _parse_use(use), self._has_boxes or bool(labels)
        image = self._images.setdefault(name, _Image(use=part, labels=[], is_labelled=is_labelled))
        new = [label for label in labels if label not in image.labels]
        if len(new) < len(set(labels)):
            self._repeated.add(name)
        image.labels += new
        image.is_labelled |= is_labelled
        image.use = _join_uses(image.use, part)

    def _is_labelled(self, line: _Line | _SnakeLine) -> bool:
        if self._has_boxes:
            return line.bounding_box_annotations is not None
        single = line.classification_annotation
        return line.classification_annotations is not None or bool(single and _has_name(single))

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

    def make_columns(self, doubts: list[Doubt]) -> TruthColumns:
        """All images in the order of their first lines."""
        columns = TruthColumns(
            has_boxes=self._has_boxes,
            says_several=self._says_several,
            repeated=self._repeated - self._contradicted,
            contradicted={name: self._images[name].use for name in sorted(self._contradicted)},
            doubts=doubts,
        )
        for name, image in self._images.items():
            if name in self._contradicted:
                continue
            labels = (label for label, _ in image.labels)
            columns.append_image(name, labels, (box for _, box in image.labels if box))
            columns.use.append(image.use)
            columns.is_labelled.append(image.is_labelled)
        return columns


def _join_uses(one: MlUse, other: MlUse) -> MlUse:
    """What several lines say of an image: it is a test image where any of them says so."""
    return MlUse.TEST if MlUse.TEST in {one, other} else max(one, other)


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
